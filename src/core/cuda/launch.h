// Launching kernels, and their dynamic shared memory.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

#include "core/cuda/check.h"

namespace cola::cuda {

struct LaunchShape {
  dim3 blocks, threads;
  std::size_t shared_bytes = 0;        // dynamic shared memory a block
  std::size_t shared_alignment = 128;  // of it, that the kernel relies on: at most 1024 bytes
};

/// Starts `kernel` on `stream`. Throws DeviceError naming `name` if it cannot be started. More than 48 KiB of
/// dynamic shared memory are asked for here.
template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), const LaunchShape& shape, cudaStream_t stream,
            Arguments&&... arguments) {
  constexpr std::size_t default_limit = 48 * 1024;
  if (shape.shared_bytes > default_limit)
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shape.shared_bytes)),
          name);
  kernel<<<shape.blocks, shape.threads, shape.shared_bytes, stream>>>(std::forward<Arguments>(arguments)...);
  check(cudaGetLastError(), name);
}

/// A block's dynamic shared memory, aligned as its launch asks. Always to 1024 bytes, which operands of wgmma
/// need, whatever static shared memory lies before it.
__device__ inline unsigned char* dynamic_shared_memory() {
  extern __shared__ __align__(1024) unsigned char memory[];
  return memory;
}

}  // namespace cola::cuda
