// Bulk tensor copies (PTX ISA, "cp.async.bulk.tensor"): boxes of an array that a tensor map describes, from
// global to shared memory and back. Both look at their source as late as they may.
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
  void store() const;
  /// Throws EmulationError unless the box can lie there and, for a store, all of it can be seen by copies.
  void check_place() const;
  void check_shown() const;
  /// What a load will overwrite cannot be used any longer.
  void spoil_target() const;

 private:
  template <typename MovePiece>
  void for_each_piece(MovePiece&& move) const;
};

/// The stores that one thread has started. They read shared memory at the wait for their group.
class BulkStores {
 public:
  void start(const BoxCopy& copy) { open_.push_back(copy); }
  void close();
  /// Until all closed groups but the `newest` have been done.
  void wait(std::size_t newest);
  bool under_way() const { return !open_.empty() || !closed_.empty(); }
  void clear();

 private:
  std::vector<BoxCopy> open_;
  std::deque<std::vector<BoxCopy>> closed_;  // oldest first
};

}  // namespace cola::emulation
