// Bulk tensor copies (PTX ISA, "cp.async.bulk.tensor"): boxes of an array that a tensor map describes, from
// global to shared memory and back. Both change their target as late as they may.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "tensor_map.h"

namespace cola::emulation {

/// One box: where it begins in the array, and in shared memory.
struct BoxCopy {
  TensorMap map;
  std::array<std::int32_t, TensorMap::most_dimensions> corner{};
  std::uint32_t shared = 0;

  /// Elements outside the array are zero in shared memory, and do not leave it.
  void load() const;
  /// What lies in shared memory now, and back to the array.
  std::vector<unsigned char> read() const;
  void store(const std::vector<unsigned char>& bytes) const;
  /// Throws EmulationError unless the box can lie there and, for a store, all of it can be seen by copies.
  void check_place() const;
  void check_shown() const;
  /// What a load will overwrite cannot be used any longer.
  void spoil_target() const;

 private:
  template <typename MovePiece>
  void for_each_piece(MovePiece&& move) const;
};

/// The stores that one thread has started. A GPU reads shared memory at any time between the start and the
/// wait for the reading: it must not change between the two.
class BulkStores {
 public:
  void start(const BoxCopy& copy) { open_.push_back({copy, copy.read()}); }
  void close();
  /// Until all closed groups but the `newest` have read shared memory; nothing is in global memory yet.
  void wait_for_reading(std::size_t newest);
  /// Until they are in global memory, too.
  void wait(std::size_t newest);
  bool reading() const;
  void clear();

 private:
  struct Store {
    BoxCopy copy;
    std::vector<unsigned char> bytes;  // at the start
  };
  struct Group {
    std::vector<Store> stores;
    bool has_read;
  };

  std::vector<Store> open_;
  std::deque<Group> closed_;  // oldest first
};

}  // namespace cola::emulation
