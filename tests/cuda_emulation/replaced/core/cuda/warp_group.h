// Stands before src/core/cuda/warp_group.h in the emulated build: the same functions. Descriptors are taken
// apart by warp_group_operations.cpp, which has them from the PTX ISA once more.
#pragma once

#include <cstdint>

#include "block.h"
#include "block_runner.h"
#include "core/cuda/warp_group_operands.h"
#include "emulated_gpu.h"
#include "warp_group_operations.h"

namespace cola::cuda::warp_group {

template <Lies lies>
std::uint64_t part_of(const void* shared_square, int step) {
  constexpr std::uint32_t step_bytes = lies == Lies::along_rows ? depth * 2 : depth * 128;
  const std::uint64_t address =
      emulation::shared_address(shared_square) + static_cast<std::uint32_t>(step) * step_bytes;
  return (address & 0x3ffff) >> 4 | std::uint64_t{1} << 16 | std::uint64_t{64} << 32 | std::uint64_t{1} << 62;
}

inline void start(emulation::GroupProductOperand operand, const emulation::Site& site) {
  emulation::join_warp(
      "start_product", 0xffffffffu,
      [](const emulation::Operands& lanes) {
        emulation::BlockRunner& runner = emulation::EmulatedGpu::instance().runner();
        runner.products().start(lanes, runner.first_row_in_group());
      },
      &operand, site);
}
template <Lies left_lies, Lies right_lies>
void start_product(Sums& sums, std::uint64_t left, std::uint64_t right, bool accumulate,
                   const emulation::Site& site = emulation::Site::current()) {
  start({sums, nullptr, left, right, left_lies == Lies::down_columns, right_lies == Lies::down_columns,
         accumulate},
        site);
}
template <Lies right_lies>
void start_product(Sums& sums, const Left& left, std::uint64_t right,
                   const emulation::Site& site = emulation::Site::current()) {
  start({sums, left, 0, right, false, right_lies == Lies::down_columns, true}, site);
}

inline void prepare_products() {}

inline void close_products(const emulation::Site& site = emulation::Site::current()) {
  emulation::join_warp(
      "close_products", 0xffffffffu,
      [](const emulation::Operands&) { emulation::EmulatedGpu::instance().runner().products().close(); },
      nullptr, site);
}

template <int newest>
void wait_for_products(const emulation::Site& site = emulation::Site::current()) {
  static_assert(newest >= 0);
  emulation::join_warp(
      "wait_for_products", 0xffffffffu,
      [](const emulation::Operands&) { emulation::EmulatedGpu::instance().runner().products().wait(newest); },
      nullptr, site);
}
inline void receive(Sums&) {}
inline void release(const Left&) {}

inline void show_writes_to_products() {}

inline void wait_for_group(int group) {
  emulation::EmulatedGpu::instance().runner().wait_for_group(group, threads);
}

}  // namespace cola::cuda::warp_group
