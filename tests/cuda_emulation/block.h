// What a kernel's threads ask of their block while they run: barriers, exchanges among the lanes of a warp,
// shared memory. Called on the emulated GPU's thread only.
#pragma once

#include <array>
#include <cstddef>
#include <source_location>

namespace cola::emulation {

using Site = std::source_location;  // where in the kernel's source
constexpr unsigned warp_lanes = 32;
using Operands = std::array<void*, warp_lanes>;  // one of each lane
using WarpOperation = void (*)(const Operands&);

/// Returns when all threads of the block have come to `site`. Throws EmulationError if some of them cannot
/// come: they have finished, or wait elsewhere.
void wait_for_block(const Site& site);

/// The last of a warp's 32 lanes to come calls `operation` with the operands of all; then all return. Throws
/// EmulationError if a lane is missing or calls another operation. `name` is for messages.
void join_warp(const char* name, unsigned mask, WarpOperation operation, void* operand, const Site& site);

/// The block's dynamic shared memory, aligned to 128 bytes.
unsigned char* dynamic_shared_memory();

/// Throws EmulationError unless these bytes lie in the block's shared memory and begin at a multiple of
/// `bytes`.
void check_shared(const char* name, const void* address, std::size_t bytes);

/// The lanes of the calling thread's warp have met, and see what the others wrote.
void order_lanes();

/// The calling thread reads or writes these bytes, in the code at `place`. What is not shared memory of the
/// block that runs now does not matter, nor is anything noted before observe_accesses. Also called outside
/// kernels, from any thread.
void observe_accesses();
enum class Access { read, write };
void note_access(const void* address, std::size_t bytes, Access access, const void* place);

/// Copies from global to shared memory of the calling thread: nothing is copied before wait_for_copies asks.
void start_copy(void* shared, const void* global, bool valid);
void close_copy_group();
void wait_for_copies(std::size_t newest);

}  // namespace cola::emulation
