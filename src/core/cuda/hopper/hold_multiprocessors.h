// A kernel that does nothing but hold multiprocessors, so that none of a product's blocks finds room there.
#pragma once

#include <cuda_runtime_api.h>

namespace cola::cuda {

struct HoldSignals {
  static constexpr int most_blocks = 256;
  int* started = nullptr;     // [blocks] in pinned host memory, zeros: set by each block
  const int* over = nullptr;  // on the GPU: the kernel may end. Blocks that asked the host would slow others
};

/// Starts `count` blocks on `stream`, each on a multiprocessor of its own until `signals` says that it is
/// over, or for about ten seconds. Throws DeviceError.
void hold_multiprocessors(int count, const HoldSignals& signals, cudaStream_t stream);

}  // namespace cola::cuda
