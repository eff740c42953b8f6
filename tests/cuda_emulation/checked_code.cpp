// Kernels are compiled with the compiler's checks of alignment, array bounds and shifts. What its
// instructions call when a check fails (the interface of its undefined-behaviour sanitizer) is here, so that
// kernel, block and thread are named.
#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "block_runner.h"
#include "emulated_gpu.h"

namespace {

struct Place {
  const char* file;
  std::uint32_t line, column;
};
struct Type {
  std::uint16_t kind, information;
  char name[1];  // longer
};
struct MisfitOfType {
  Place place;
  const Type* type;
  unsigned char log_alignment, kind;
};
struct OutOfBounds {
  Place place;
  const Type *array, *index;
};
struct WrongShift {
  Place place;
  const Type *left, *right;
};

void report(const Place& place, const std::string& what) {
  cola::emulation::EmulatedGpu::instance().runner().remember_fault(
      fmt::format("{} at {}:{}", what, place.file, place.line));
}

}  // namespace

extern "C" {

void __ubsan_handle_type_mismatch_v1(const MisfitOfType* fault, std::uintptr_t address) {
  report(fault->place, fmt::format("{} needs an address aligned to {} bytes, not {:#x},", fault->type->name,
                                   1u << fault->log_alignment, address));
}
void __ubsan_handle_out_of_bounds(const OutOfBounds* fault, std::uintptr_t index) {
  report(fault->place,
         fmt::format("index {} is outside {}", static_cast<std::intptr_t>(index), fault->array->name));
}
void __ubsan_handle_shift_out_of_bounds(const WrongShift* fault, std::uintptr_t, std::uintptr_t distance) {
  report(fault->place,
         fmt::format("a shift of {} by {}", fault->left->name, static_cast<std::intptr_t>(distance)));
}

}  // extern "C"
