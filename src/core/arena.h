// Arena: one block of memory handed out in order. Built without memory it only counts: the same allocation
// code then is the memory planner, so a plan cannot drift from a run.
#pragma once

#include <cstddef>
#include <initializer_list>

#include "core/tensor.h"

namespace cola {

class Arena {
 public:
  /// A counting arena: tensors it returns have no data.
  Arena() = default;
  /// An arena over `capacity` bytes at `memory`, aligned to 256 bytes.
  Arena(void* memory, std::size_t capacity) : memory_(memory), capacity_(capacity) {}

  /// Uninitialised memory for a tensor, aligned to 256 bytes. Throws Error if the arena is full.
  Tensor allocate(DataType type, std::initializer_list<std::int64_t> shape);

  /// Bytes handed out so far; nothing is ever given back.
  std::size_t used() const { return used_; }

 private:
  void* memory_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
};

}  // namespace cola
