#include "core/arena.h"

#include "core/divide_up.h"
#include "core/error.h"

namespace cola {

namespace {
constexpr std::size_t alignment = 256;
}

Tensor Arena::allocate(MemoryUse use, DataType type, std::initializer_list<std::int64_t> shape) {
  void* address = memory_ ? static_cast<std::byte*>(memory_) + used_ : nullptr;
  Tensor tensor(address, type, shape);
  const std::size_t needed = used_ + divide_up(tensor.bytes(), alignment) * alignment;
  if (memory_ && needed > capacity_)
    throw Error("the arena of {} bytes is too small for {}: {} bytes are in use", capacity_,
                tensor.describe(), used_);
  used_for_[static_cast<std::size_t>(use)] += needed - used_;
  used_ = needed;
  return tensor;
}

}  // namespace cola
