// Inline assembly (PTX) of a CUDA library whose headers translate_assembly.py has gone through.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "block.h"

namespace cola::emulation {

/// What assembly calls %0, %1, ...: a variable, or a value where `variable` is null.
struct AssemblyOperand {
  void* variable = nullptr;
  std::size_t bytes = 0;
  std::uint64_t value = 0;
};
template <typename T>
AssemblyOperand output(T& variable) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  return {&variable, sizeof(T)};
}
template <typename T>
AssemblyOperand input(const T& value) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  AssemblyOperand operand{nullptr, sizeof(T)};
  std::memcpy(&operand.value, &value, sizeof(T));
  return operand;
}

/// Does what the instructions of `text` say. Throws EmulationError naming one that is not emulated.
void run_assembly(const Site& site, const char* text, std::span<const AssemblyOperand> operands);

template <typename... Operands>
void assembly(const Site& site, const char* text, const Operands&... operands) {
  const std::array<AssemblyOperand, sizeof...(Operands)> all{operands...};
  run_assembly(site, text, all);
}

}  // namespace cola::emulation
