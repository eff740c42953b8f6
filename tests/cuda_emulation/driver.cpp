// CUDA driver, emulated: what CUTLASS asks the runtime for by name.
#include <cuda_runtime_api.h>

#include <cstring>

#include "emulated_gpu.h"
#include "tensor_map.h"

extern "C" cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                                        unsigned long long,
                                                        cudaDriverEntryPointQueryResult* status) {
  const bool known = std::strcmp(symbol, "cuTensorMapEncodeTiled") == 0;
  *function = known ? reinterpret_cast<void*>(cola::emulation::encode_tensor_map) : nullptr;
  *status = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
