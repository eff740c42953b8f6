// Grid: a kernel with its arguments, as given to a stream.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>

namespace cola::emulation {

struct Grid {
  const char* name = "";
  dim3 blocks, threads;
  std::size_t shared_bytes = 0, shared_alignment = 128;
  std::function<void()> body;  // of one thread
};

/// Gives the grid to the stream. Returns an error at once, as a GPU does, if its shape cannot be run.
cudaError_t launch(Grid&& grid, cudaStream_t stream);

}  // namespace cola::emulation
