#include "shared_memory.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "emulation_error.h"

namespace cola::emulation {

namespace {

constexpr unsigned char poison = 0xff;  // a NaN in fp32 and bf16

std::size_t page_bytes() {
  return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}
std::size_t rounded_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// The calling thread's copy of the program's thread-local variables. The program is the first to be listed.
std::span<unsigned char> thread_local_variables() {
  std::span<unsigned char> found;
  const auto first = [](dl_phdr_info* program, std::size_t, void* result) {
    for (int i = 0; i < program->dlpi_phnum; ++i)
      if (program->dlpi_phdr[i].p_type == PT_TLS && program->dlpi_tls_data)
        *static_cast<std::span<unsigned char>*>(result) = {
            static_cast<unsigned char*>(program->dlpi_tls_data), program->dlpi_phdr[i].p_memsz};
    return 1;
  };
  dl_iterate_phdr(first, &found);
  return found;
}

}  // namespace

SharedMemory::SharedMemory() : static_(thread_local_variables()) {
  const std::size_t usable = rounded_up(maximum_shared_bytes, page_bytes());
  void* memory =
      mmap(nullptr, usable + page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw EmulationError("no memory for the blocks' shared memory");
  mapping_ = {static_cast<unsigned char*>(memory), usable};
  mprotect(mapping_.data() + usable, page_bytes(), PROT_NONE);
}

SharedMemory::~SharedMemory() {
  munmap(mapping_.data(), mapping_.size() + page_bytes());
}

void SharedMemory::prepare(std::size_t bytes, std::size_t alignment) {
  std::fill(static_.begin(), static_.end(), poison);
  dynamic_bytes_ = bytes;
  dynamic_ = mapping_.data() + mapping_.size() - rounded_up(bytes, alignment);
  std::fill(dynamic_, mapping_.data() + mapping_.size(), poison);
  shown_.assign(bytes, poison);
  show_later_ = 0;
  writers_.clear();
}

void SharedMemory::check_end() const {
  const unsigned char* end = mapping_.data() + mapping_.size();
  if (std::any_of(dynamic_ + dynamic_bytes_, const_cast<unsigned char*>(end),
                  [](unsigned char byte) { return byte != poison; }))
    throw EmulationError("wrote beyond its {} bytes of dynamic shared memory", dynamic_bytes_);
}

void SharedMemory::note_writer(std::size_t offset, std::size_t bytes, std::uint32_t warp) {
  if (offset >= dynamic_bytes_) return;
  if (writers_.empty()) writers_.assign(dynamic_bytes_, unknown_writer);
  std::fill_n(writers_.begin() + static_cast<std::ptrdiff_t>(offset), bytes, static_cast<std::uint8_t>(warp));
}

void SharedMemory::show_writes_of(std::uint32_t warps) {
  if (writers_.empty()) {
    std::copy_n(dynamic_, dynamic_bytes_, shown_.begin());
    return;
  }
  for (std::size_t i = 0; i < dynamic_bytes_; ++i)
    if (writers_[i] == unknown_writer || (warps >> writers_[i] & 1) != 0) shown_[i] = dynamic_[i];
}

void SharedMemory::write_shown(void* address, const void* values, std::size_t bytes) {
  auto* const first = static_cast<unsigned char*>(address);
  std::memcpy(first, values, bytes);
  std::memcpy(shown_.data() + (first - dynamic_), values, bytes);
}

void SharedMemory::check_shown(const void* address, std::size_t bytes) const {
  const auto* const first = static_cast<const unsigned char*>(address);
  if (!std::equal(first, first + bytes, shown_.begin() + (first - dynamic_)))
    throw EmulationError(
        "a product or a bulk copy reads shared memory that was written to without fence.proxy.async and a "
        "barrier after it");
}

}  // namespace cola::emulation
