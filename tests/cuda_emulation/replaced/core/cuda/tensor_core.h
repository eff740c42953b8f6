// Stands before src/core/cuda/tensor_core.h in the emulated build: the same functions, as exchanges among the
// 32 lanes of an emulated warp. The layouts are written down from the PTX ISA once more, not taken from
// there.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "block.h"
#include "tensor_core_operations.h"

namespace cola::cuda {

inline void multiply_tiles(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                           const emulation::Site& site = emulation::Site::current()) {
  emulation::ProductOperand operand{d, a, b};
  emulation::join_warp("multiply_tiles", 0xffffffffu, emulation::multiply_tiles, &operand, site);
}

// Calls of their own, so that the caller is a place in the kernel.
[[gnu::noinline]] inline void load_tiles(std::uint32_t (&tiles)[4], const void* shared_row,
                                         const emulation::Site& site = emulation::Site::current()) {
  emulation::check_shared("load_tiles", shared_row, 16);
  emulation::note_access(shared_row, 16, emulation::Access::read, __builtin_return_address(0));
  emulation::LoadOperand operand{tiles, shared_row};
  emulation::join_warp("load_tiles", 0xffffffffu, emulation::load_tiles, &operand, site);
}

[[gnu::noinline]] inline void load_tiles_transposed(
    std::uint32_t (&tiles)[4], const void* shared_row,
    const emulation::Site& site = emulation::Site::current()) {
  emulation::check_shared("load_tiles_transposed", shared_row, 16);
  emulation::note_access(shared_row, 16, emulation::Access::read, __builtin_return_address(0));
  emulation::LoadOperand operand{tiles, shared_row};
  emulation::join_warp("load_tiles_transposed", 0xffffffffu, emulation::load_tiles_transposed, &operand,
                       site);
}

inline void start_copy_to_shared(void* shared, const void* global, bool valid) {
  emulation::start_copy(shared, global, valid);
}

inline void close_copy_group() {
  emulation::close_copy_group();
}

template <int newest>
void wait_for_copies() {
  static_assert(newest >= 0);
  emulation::wait_for_copies(newest);
}

inline float fast_exp2(float x) {
  const float result = std::exp2(x);
  return result < std::numeric_limits<float>::min() ? 0.0f : result;
}

}  // namespace cola::cuda
