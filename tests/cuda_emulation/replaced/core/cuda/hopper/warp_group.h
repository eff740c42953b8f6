// Stands before src/core/cuda/hopper/warp_group.h in the emulated build: the same functions. Descriptors are
// taken apart by warp_group_operations.cpp, which has them from the PTX ISA once more.
#pragma once

#include <cstdint>

#include "block.h"
#include "block_runner.h"
#include "core/cuda/hopper/warp_group_operands.h"
#include "emulated_gpu.h"
#include "warp_group_operations.h"

namespace cola::cuda::warp_group {

template <Lies lies>
std::uint64_t part_of(const void* shared_square, int step) {
  return descriptor_of_part<lies>(emulation::shared_address(shared_square), step);
}

inline emulation::GroupProducts& products() {
  return emulation::EmulatedGpu::instance().runner().products();
}

// A call of its own, so that its caller is a place in the kernel.
[[gnu::noinline]] inline void start(emulation::GroupProductOperand operand, const emulation::Site& site) {
  operand.place = __builtin_return_address(0);
  emulation::join_warp(
      "start_product", 0xffffffffu,
      [](const emulation::Operands& lanes) {
        products().start(lanes, emulation::EmulatedGpu::instance().runner().first_row_in_group());
      },
      &operand, site);
}
template <Lies left_lies, Lies right_lies>
void start_product(Sums& sums, std::uint64_t left, std::uint64_t right, bool accumulate,
                   const emulation::Site& site = emulation::Site::current()) {
  start({sums[0], 64, nullptr, left, right, left_lies == Lies::down_columns, right_lies == Lies::down_columns,
         accumulate},
        site);
}
template <Lies right_lies>
void start_product(Sums& sums, const Left& left, std::uint64_t right,
                   const emulation::Site& site = emulation::Site::current()) {
  start({sums[0], 64, left, 0, right, false, right_lies == Lies::down_columns, true}, site);
}

template <typename... Registers>
void prepare_products(Registers&...) {
  emulation::join_warp(
      "prepare_products", 0xffffffffu, [](const emulation::Operands&) { products().prepare(); }, nullptr,
      emulation::Site::current());
}

inline void close_products(const emulation::Site& site = emulation::Site::current()) {
  emulation::join_warp(
      "close_products", 0xffffffffu, [](const emulation::Operands&) { products().close(); }, nullptr, site);
}

template <int newest, typename... Registers>
void wait_for_products(Registers&...) {
  static_assert(newest >= 0);
  emulation::join_warp(
      "wait_for_products", 0xffffffffu, [](const emulation::Operands&) { products().wait(newest); }, nullptr,
      emulation::Site::current());
}

inline void show_writes_to_products(const emulation::Site& site = emulation::Site::current()) {
  emulation::join_warp(
      "show_writes_to_products", 0xffffffffu,
      [](const emulation::Operands&) {
        emulation::BlockRunner& runner = emulation::EmulatedGpu::instance().runner();
        runner.shared_memory().show_to_products(runner.warp());
      },
      nullptr, site);
}

inline void wait_for_group(int group) {
  emulation::EmulatedGpu::instance().runner().wait_for_group(group, threads);
}

}  // namespace cola::cuda::warp_group
