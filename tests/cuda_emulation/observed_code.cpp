// Kernels are compiled with the compiler's calls before accesses to memory (the interface of its thread
// sanitizer). What it calls is here: accesses to shared memory go to the block's RaceCheck.
#include <cstddef>

#include "block.h"

namespace {

using cola::emulation::Access, cola::emulation::note_access;

}  // namespace

extern "C" {

void __tsan_init() {  // at the start of a program with such code
  cola::emulation::observe_accesses();
}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

void __tsan_read1(void* at) {
  note_access(at, 1, Access::read, __builtin_return_address(0));
}
void __tsan_read2(void* at) {
  note_access(at, 2, Access::read, __builtin_return_address(0));
}
void __tsan_read4(void* at) {
  note_access(at, 4, Access::read, __builtin_return_address(0));
}
void __tsan_read8(void* at) {
  note_access(at, 8, Access::read, __builtin_return_address(0));
}
void __tsan_read16(void* at) {
  note_access(at, 16, Access::read, __builtin_return_address(0));
}
void __tsan_unaligned_read2(void* at) {
  note_access(at, 2, Access::read, __builtin_return_address(0));
}
void __tsan_unaligned_read4(void* at) {
  note_access(at, 4, Access::read, __builtin_return_address(0));
}
void __tsan_unaligned_read8(void* at) {
  note_access(at, 8, Access::read, __builtin_return_address(0));
}
void __tsan_unaligned_read16(void* at) {
  note_access(at, 16, Access::read, __builtin_return_address(0));
}
void __tsan_read_range(void* at, std::size_t bytes) {
  note_access(at, bytes, Access::read, __builtin_return_address(0));
}

void __tsan_write1(void* at) {
  note_access(at, 1, Access::write, __builtin_return_address(0));
}
void __tsan_write2(void* at) {
  note_access(at, 2, Access::write, __builtin_return_address(0));
}
void __tsan_write4(void* at) {
  note_access(at, 4, Access::write, __builtin_return_address(0));
}
void __tsan_write8(void* at) {
  note_access(at, 8, Access::write, __builtin_return_address(0));
}
void __tsan_write16(void* at) {
  note_access(at, 16, Access::write, __builtin_return_address(0));
}
void __tsan_unaligned_write2(void* at) {
  note_access(at, 2, Access::write, __builtin_return_address(0));
}
void __tsan_unaligned_write4(void* at) {
  note_access(at, 4, Access::write, __builtin_return_address(0));
}
void __tsan_unaligned_write8(void* at) {
  note_access(at, 8, Access::write, __builtin_return_address(0));
}
void __tsan_unaligned_write16(void* at) {
  note_access(at, 16, Access::write, __builtin_return_address(0));
}
void __tsan_write_range(void* at, std::size_t bytes) {
  note_access(at, bytes, Access::write, __builtin_return_address(0));
}

}  // extern "C"
