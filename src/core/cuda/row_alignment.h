// Which tensors can be read 16 bytes at a time.
#pragma once

#include <cstdint>

#include "core/data_type.h"

namespace cola::cuda {

/// Whether rows of `columns` elements of `type`, beginning at these addresses, can be read 16 bytes at a
/// time.
template <typename... Pointers>
bool rows_are_aligned(std::int64_t columns, DataType type, const Pointers*... pointers) {
  const auto aligned = [](const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
  };
  return columns * static_cast<std::int64_t>(size_of(type)) % 16 == 0 && (aligned(pointers) && ...);
}

}  // namespace cola::cuda
