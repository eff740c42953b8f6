// Every return code of CUDA and its libraries is checked, and the error names the operation.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "core/data_type.h"

namespace cola::cuda {

/// Throws DeviceError "OPERATION failed on the GPU: EXPLANATION" unless `result` is success. An error of an
/// earlier kernel may surface here: CUDA reports them late.
void check(cudaError_t result, const char* operation);
void check(cublasStatus_t result, const char* operation);

/// Throws Error with `message` unless `condition`: for shapes that do not fit.
void require(bool condition, const char* message);

/// Throws Error: a kernel for fp32 and bf16 was given something else.
[[noreturn]] void refuse_type(DataType type);

}  // namespace cola::cuda
