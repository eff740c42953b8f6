#include "block.h"

#include "block_runner.h"
#include "emulated_gpu.h"
#include "emulation_error.h"

namespace cola::emulation {

namespace {

BlockRunner& runner() {
  return EmulatedGpu::instance().runner();
}

}  // namespace

void wait_for_block(const Site& site) {
  runner().wait_for_block(site);
}

void join_warp(const char* name, unsigned mask, WarpOperation operation, void* operand, const Site& site) {
  runner().join_warp(name, mask, operation, operand, site);
}

unsigned char* dynamic_shared_memory() {
  return runner().shared_memory().dynamic();
}

void check_shared(const char* name, const void* address, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0)
    throw EmulationError("{} of {}, which is not aligned to {} bytes", name, address, bytes);
  if (!runner().shared_memory().offset_of(address, bytes))
    throw EmulationError("{} of {}, which is not the block's shared memory", name, address);
}

void order_lanes() {
  runner().order_lanes();
}

void observe_accesses() {
  accesses_are_observed = true;
}

void note_access(const void* address, std::size_t bytes, Access access, const void* place) {
  if (BlockRunner* const running = running_block.load(std::memory_order_relaxed))
    running->note_access(address, bytes, access, place);
}

void start_copy(void* shared, const void* global, bool valid) {
  check_shared("start_copy_to_shared", shared, async_copy_bytes);
  if (reinterpret_cast<std::uintptr_t>(global) % async_copy_bytes != 0)
    throw EmulationError("start_copy_to_shared from {}, which is not aligned to 16 bytes", global);
  note_access(shared, async_copy_bytes, Access::write, __builtin_return_address(0));
  runner().copies().start(shared, global, valid);
}

void close_copy_group() {
  runner().copies().close_group();
}

void wait_for_copies(std::size_t newest) {
  runner().copies().wait(newest);
}

}  // namespace cola::emulation
