// A kernel that does nothing but hold multiprocessors, so that none of a product's blocks finds room there.
#pragma once

#include <cuda_runtime_api.h>

namespace cola::cuda {

/// In pinned host memory, which both sides read.
struct HoldSignals {
  static constexpr int most_blocks = 255;
  int over = 0;                   // the host's word: the kernel may end
  int started[most_blocks] = {};  // of each block
};

/// Starts `count` blocks on `stream`, each on a multiprocessor of its own until `signals` says that it is
/// over, or for ten seconds. Throws DeviceError.
void hold_multiprocessors(int count, volatile HoldSignals* signals, cudaStream_t stream);

}  // namespace cola::cuda
