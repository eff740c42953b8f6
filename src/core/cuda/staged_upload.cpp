#include "core/cuda/staged_upload.h"

#include <algorithm>
#include <cstring>

#include "core/cuda/check.h"

namespace cola::cuda {

void StagedUpload::Slot::wait_until_free() {
  if (memory) return check(cudaEventSynchronize(copied.get()), "copying to the GPU");
  copied = make_event();
  memory = make_pinned_memory(slot_bytes);
}

void StagedUpload::copy(void* to, const void* from, std::size_t bytes) {
  for (std::size_t done = 0; done < bytes; done += slot_bytes) {
    const std::size_t piece = std::min(slot_bytes, bytes - done);
    Slot& slot = slots_[next_++ % slots_.size()];
    slot.wait_until_free();
    std::memcpy(slot.memory.get(), static_cast<const std::byte*>(from) + done, piece);
    check(cudaMemcpyAsync(static_cast<std::byte*>(to) + done, slot.memory.get(), piece,
                          cudaMemcpyHostToDevice, stream_),
          "copying to the GPU");
    check(cudaEventRecord(slot.copied.get(), stream_), "marking the end of a copy");
  }
}

}  // namespace cola::cuda
