// SnapshotRing: host memory through which a rank's state travels from the device to the thread that writes
// it. Copies run beside the kernels of the next forward and backward pass; only the optimizer, which changes
// the state, waits for what is left of them. Where the ring is smaller than the state, pieces pass through it
// as they are written.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/device.h"
#include "core/tensor.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// How a ring is cut: slots that each hold a piece of one tensor.
struct RingLayout {
  std::int64_t slots = 0, slot_elements = 0;
  std::size_t bytes() const {
    return static_cast<std::size_t>(slots) * static_cast<std::size_t>(slot_elements) * sizeof(float);
  }
};

/// The ring for three tensors of `shard_elements`: checkpoint.ring_gib of it, or as much as they need where
/// that is more than enough or 0; a small one where training waits for the writing anyway. Throws UsageError,
/// naming the key, if it is too small to be of use.
RingLayout ring_layout(const CheckpointSection& options, std::int64_t shard_elements);

class SnapshotRing {
 public:
  /// Allocates at once, so that memory does not run out at the first checkpoint. Throws DeviceError.
  SnapshotRing(Device& device, RingLayout layout);
  /// Waits for copies under way.
  ~SnapshotRing() = default;

  // For the thread that trains; only it talks to the device.

  /// Starts to copy fp32 tensors, in order; the snapshot before must have been taken whole or abandoned.
  void start(std::vector<Tensor> tensors);
  /// Starts the copies for which there is room by now; never blocks.
  void advance();
  /// Returns when every copy is done: from then on the tensors may change. Throws DeviceError if one failed.
  void finish();
  /// The same, but gives up after that time if there is no room for the copies that are left; whether it has
  /// come to its end.
  bool finishes_within(std::chrono::milliseconds limit);

  // For the thread that writes.

  /// Waits for the next piece; empty after the last. It stays valid until give_back(). Throws DeviceError if
  /// the copy failed.
  std::span<const float> take();
  void give_back();
  /// No more pieces are wanted: nobody waits for room any longer.
  void abandon();

 private:
  struct HostMemory {
    Device* device;
    void operator()(float* memory) const noexcept { device->free_host(memory); }
  };

  bool has_room() const { return abandoned_ || started_ - given_back_ < layout_.slots; }
  bool all_started() const { return tensor_ == tensors_.size() || abandoned_; }
  void start_copies();
  std::span<float> slot(std::int64_t piece) const;

  Device& device_;
  RingLayout layout_;
  std::unique_ptr<float, HostMemory> memory_;

  std::mutex mutex_;  // of all that follows
  std::condition_variable changed_;
  std::vector<Tensor> tensors_;
  std::size_t tensor_ = 0;                                 // the next piece begins in this tensor,
  std::int64_t element_ = 0;                               // at this element
  std::int64_t started_ = 0, taken_ = 0, given_back_ = 0;  // pieces
  bool abandoned_ = true;
  struct Piece {
    std::shared_ptr<PendingCopy> copy;
    std::int64_t elements = 0;
  };
  std::vector<Piece> pieces_;  // one a slot
};

}  // namespace cola
