// Arena: one block of memory handed out in order. Built without memory it only counts: the same allocation
// code then is the memory planner, so a plan cannot drift from a run.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>

#include "core/tensor.h"

namespace cola {

/// What a piece of memory serves. A plan and its chart tell these apart.
enum class MemoryUse { weights, gradients, optimizer, communication, activations, workspace };
inline constexpr std::size_t memory_uses = 6;

class Arena {
 public:
  /// A counting arena: tensors it returns have no data.
  Arena() = default;
  /// An arena over `capacity` bytes at `memory`, aligned to 256 bytes.
  Arena(void* memory, std::size_t capacity) : memory_(memory), capacity_(capacity) {}

  /// Uninitialised memory for a tensor, aligned to 256 bytes. Throws Error if the arena is full.
  Tensor allocate(MemoryUse use, DataType type, std::initializer_list<std::int64_t> shape);

  /// Bytes handed out so far, in all and for one use; nothing is ever given back.
  std::size_t used() const { return used_; }
  std::size_t used(MemoryUse use) const { return used_for_[static_cast<std::size_t>(use)]; }

 private:
  void* memory_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::array<std::size_t, memory_uses> used_for_{};
};

}  // namespace cola
