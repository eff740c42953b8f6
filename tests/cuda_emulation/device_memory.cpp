#include "device_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace cola::emulation {

namespace {

constexpr std::size_t alignment = 256;
constexpr std::size_t poisoned_bytes = std::size_t{2} << 20;  // of new memory; what lies behind is zero

std::size_t page_bytes() {
  return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}
std::size_t rounded_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

DeviceMemory::~DeviceMemory() {
  for (const auto& [address, piece] : pieces_) munmap(piece.mapping, piece.mapped + page_bytes());
}

void* DeviceMemory::allocate(std::size_t bytes) {
  return bytes > free_bytes() ? nullptr : allocate(bytes, MemoryKind::device);
}
void* DeviceMemory::allocate_pinned(std::size_t bytes) {
  return allocate(bytes, MemoryKind::pinned);
}

// The memory's end, not its beginning, lies at a page's border.
void* DeviceMemory::allocate(std::size_t bytes, MemoryKind kind) {
  Piece piece{bytes, nullptr, rounded_up(bytes, page_bytes()), kind};
  void* mapping = mmap(nullptr, piece.mapped + page_bytes(), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  piece.mapping = static_cast<unsigned char*>(mapping);
  std::memset(piece.mapping, 0xff, std::min(piece.mapped, poisoned_bytes));
  mprotect(piece.mapping + piece.mapped, page_bytes(), PROT_NONE);
  if (kind == MemoryKind::device) {
    used_ += bytes;
    mprotect(piece.mapping, piece.mapped, PROT_NONE);
  }
  unsigned char* memory = piece.mapping + piece.mapped - rounded_up(bytes, alignment);
  pieces_.emplace(reinterpret_cast<std::uintptr_t>(memory), piece);
  return memory;
}

bool DeviceMemory::free(void* memory, MemoryKind kind) {
  const auto entry = pieces_.find(reinterpret_cast<std::uintptr_t>(memory));
  if (entry == pieces_.end() || entry->second.kind != kind) return false;
  if (kind == MemoryKind::device) used_ -= entry->second.bytes;
  munmap(entry->second.mapping, entry->second.mapped + page_bytes());
  pieces_.erase(entry);
  return true;
}

// The piece that the address lies in, its end included.
DeviceMemory::Pieces::const_iterator DeviceMemory::find(const void* address) const {
  const auto number = reinterpret_cast<std::uintptr_t>(address);
  auto entry = pieces_.upper_bound(number);
  if (entry == pieces_.begin()) return pieces_.end();
  --entry;
  return number <= entry->first + entry->second.bytes ? entry : pieces_.end();
}

MemoryKind DeviceMemory::kind_of(const void* address) const {
  const auto entry = find(address);
  return entry == pieces_.end() ? MemoryKind::pageable : entry->second.kind;
}

bool DeviceMemory::holds(const void* address, std::size_t bytes) const {
  const auto entry = find(address);
  return entry != pieces_.end() && entry->second.kind == MemoryKind::device &&
         reinterpret_cast<std::uintptr_t>(address) + bytes <= entry->first + entry->second.bytes;
}

bool DeviceMemory::open(const void* address) {
  const auto lies_in = [address](const Piece& piece) {
    return address >= piece.mapping && address < piece.mapping + piece.mapped;
  };
  if (std::any_of(open_.begin(), open_.end(), lies_in)) return false;
  for (const auto& [memory, piece] : pieces_)
    if (piece.kind == MemoryKind::device && lies_in(piece)) {
      open_.push_back(piece);
      return mprotect(piece.mapping, piece.mapped, PROT_READ | PROT_WRITE) == 0;
    }
  return false;
}

void DeviceMemory::close() {
  for (const Piece& piece : open_) mprotect(piece.mapping, piece.mapped, PROT_NONE);
  open_.clear();
}

}  // namespace cola::emulation
