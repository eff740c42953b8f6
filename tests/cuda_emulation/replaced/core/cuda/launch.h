// Stands before src/core/cuda/launch.h in the emulated build: the same declarations, launching on the
// emulated GPU.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <tuple>
#include <utility>

#include "block.h"
#include "core/cuda/check.h"
#include "grid.h"

namespace cola::cuda {

struct LaunchShape {
  dim3 blocks, threads;
  std::size_t shared_bytes = 0;  // dynamic shared memory a block
  std::size_t shared_alignment = 128;
};

template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), const LaunchShape& shape, cudaStream_t stream,
            Arguments&&... arguments) {
  const std::tuple<Parameters...> values(std::forward<Arguments>(arguments)...);
  emulation::Grid grid{
      name, shape.blocks, shape.threads, shape.shared_bytes, shape.shared_alignment, [kernel, values] {
        std::apply(kernel, values);
      }};
  check(emulation::launch(std::move(grid), stream), name);
}

inline unsigned char* dynamic_shared_memory() {
  return emulation::dynamic_shared_memory();
}

}  // namespace cola::cuda
