// StagedUpload: copies to the GPU that are done with the caller's memory when they return, and wait for no
// kernel: the bytes lie in pinned memory until the GPU takes them. What CUDA does with pageable memory by
// itself differs between systems.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>

#include "core/cuda/handles.h"

namespace cola::cuda {

class StagedUpload {
 public:
  /// Copies in the order of this stream's other work.
  explicit StagedUpload(cudaStream_t stream) : stream_(stream) {}
  /// All copies must have ended.
  ~StagedUpload() = default;

  /// Throws DeviceError. Not from several threads at a time.
  void copy(void* to, const void* from, std::size_t bytes);

 private:
  static constexpr std::size_t slot_bytes = std::size_t{1} << 20;

  struct Slot {
    PinnedMemory memory;  // taken when first needed
    Event copied;         // the last copy from it

    void wait_until_free();
  };

  cudaStream_t stream_;
  std::array<Slot, 4> slots_;
  std::size_t next_ = 0;
};

}  // namespace cola::cuda
