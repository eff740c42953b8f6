// DeviceMemory: what cudaMalloc and cudaHostAlloc give out. Device memory can be touched only by kernels and
// copies while they run, and has an unmapped page behind it; new memory is filled with NaN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace cola::emulation {

enum class MemoryKind { pageable, pinned, device };

class DeviceMemory {
 public:
  ~DeviceMemory();

  /// Null if the GPU's memory is used up.
  void* allocate(std::size_t bytes);
  void* allocate_pinned(std::size_t bytes);
  /// False if no such memory was given out.
  bool free(void* memory, MemoryKind kind);

  MemoryKind kind_of(const void* address) const;
  /// Whether `bytes` from here on lie in one piece of device memory.
  bool holds(const void* address, std::size_t bytes) const;

  std::size_t total_bytes() const { return total_; }
  std::size_t free_bytes() const { return total_ - used_; }
  /// The size of the emulated GPU's memory from here on.
  void set_total_bytes(std::size_t bytes) { total_ = bytes; }

  /// For the handler of faults: lets the piece of device memory at this address be touched until close().
  /// False if there is none, or it is open already. A piece is opened when something touches it, since to
  /// open and close all of them for each kernel takes nine tenths of a training test's time.
  bool open(const void* address);
  void close();

 private:
  struct Piece {
    std::size_t bytes = 0;  // that were asked for
    unsigned char* mapping = nullptr;
    std::size_t mapped = 0;  // without the unmapped page
    MemoryKind kind = MemoryKind::device;
  };
  using Pieces = std::map<std::uintptr_t, Piece>;

  void* allocate(std::size_t bytes, MemoryKind kind);
  Pieces::const_iterator find(const void* address) const;

  std::size_t total_ = std::size_t{8} << 30, used_ = 0;
  Pieces pieces_;  // by address
  std::vector<Piece> open_;
};

}  // namespace cola::emulation
