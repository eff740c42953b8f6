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
  if (!runner().shared_memory().holds(address, bytes))
    throw EmulationError("{} of {}, which is not the block's shared memory", name, address);
}

void start_copy(void* shared, const void* global, bool valid) {
  runner().start_copy(shared, global, valid);
}

void close_copy_group() {
  runner().close_copy_group();
}

void wait_for_copies(std::size_t newest) {
  runner().wait_for_copies(newest);
}

}  // namespace cola::emulation
