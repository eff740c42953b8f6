// Context: what all kernel families of one GPU share.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <cstddef>

namespace cola::cuda {

struct Context {
  int multiprocessors = 0;
  int compute_capability = 0;  // 10 * major + minor
  /// How many collectives may run on another stream beside the kernels given now, and hold multiprocessors.
  int collectives_beside = 0;
  cudaStream_t stream = nullptr;  // all kernels run on it, one after the other
  cublasLtHandle_t blas = nullptr;
  /// Memory for one call of a kernel family, all of whose kernels may use it: for cuBLAS, and for partial
  /// sums.
  void* blas_workspace = nullptr;
  void* scratch = nullptr;

  /// Whether kernels compiled for sm_90a run here: no later GPU has all of its instructions.
  bool is_hopper() const { return compute_capability == 90; }

  static constexpr std::size_t blas_workspace_bytes = std::size_t{64} << 20;
  static constexpr std::size_t scratch_bytes = std::size_t{32} << 20;
};

}  // namespace cola::cuda
