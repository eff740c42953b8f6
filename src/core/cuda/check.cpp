#include "core/cuda/check.h"

#include "core/error.h"

namespace cola::cuda {

void check(cudaError_t result, const char* operation) {
  if (result != cudaSuccess)
    throw DeviceError("{} failed on the GPU: {}", operation, cudaGetErrorString(result));
}

void check(cublasStatus_t result, const char* operation) {
  if (result != CUBLAS_STATUS_SUCCESS)
    throw DeviceError("{} failed in cuBLAS: {}", operation, cublasLtGetStatusString(result));
}

void require(bool condition, const char* message) {
  if (!condition) throw Error("{}", message);
}

void refuse_type(DataType type) {
  throw Error("a kernel was given {} where it needs fp32 or bf16", name_of(type));
}

}  // namespace cola::cuda
