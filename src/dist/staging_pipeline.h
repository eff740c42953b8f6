// StagingPipeline: collectives on a device's memory, cut into pieces that go through pinned host memory one
// after the other: while one piece travels between ranks, the next is copied from the device.
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "core/device.h"
#include "dist/communicator.h"

namespace cola {

/// A stretch of device memory and its place in a slot of host memory.
struct StagedRange {
  std::byte* device;
  std::size_t slot_offset, bytes;
};

/// One piece of a collective.
struct StagedPiece {
  std::vector<StagedRange> inputs, results;  // copied from the device before it starts, and back after it
  std::function<std::unique_ptr<PendingCollective>(std::byte* slot)> start;
  std::shared_ptr<std::size_t> unfinished;  // pieces of the collective it belongs to
};

/// All ranks add the same pieces in the same order, and that is the order in which they travel, whatever the
/// timing of their devices.
class StagingPipeline {
 public:
  /// Two slots of `slot_bytes` each. Throws DeviceError if there is not enough memory.
  StagingPipeline(Device& device, std::size_t slot_bytes);

  std::size_t slot_bytes() const { return slot_bytes_; }

  /// Queues a piece, whose device memory stays untouched from here on until it is finished. Never waits.
  void add(StagedPiece piece);
  /// Moves what can be moved without waiting for other ranks.
  void progress();
  /// Waits for the oldest piece, and copies its results to the device ahead of kernels given from here on.
  void finish_oldest();
  /// Gives up what is on its way: for a rank that fails, and must not wait for others that wait for it. What
  /// other ranks may still write to is never freed. Afterwards nothing can be added.
  void abandon() noexcept;

 private:
  struct HostMemoryDeleter {
    Device* device;
    void operator()(std::byte* memory) const noexcept { device->free_host(memory); }
  };
  using Slot = std::unique_ptr<std::byte, HostMemoryDeleter>;

  struct Piece {
    StagedPiece plan;
    std::byte* slot = nullptr;  // none yet: it waits for one
    std::vector<std::unique_ptr<PendingCopy>> copies;
    std::unique_ptr<PendingCollective> collective;  // once its inputs are in the slot
  };

  Slot make_slot();
  void fill_free_slots();
  std::size_t pieces_in_slots() const;
  static void start(Piece& piece);

  Device& device_;
  std::size_t slot_bytes_;
  std::array<Slot, 2> slots_;
  std::size_t next_slot_ = 0;
  std::deque<Piece> pieces_;  // the first ones have a slot each
};

}  // namespace cola
