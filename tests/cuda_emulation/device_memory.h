// DeviceMemory: what cudaMalloc and cudaHostAlloc give out. Device memory can be touched only while kernels
// and copies run, and has an unmapped page behind it; new memory is filled with NaN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

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

  /// While an Access lives, device memory can be touched.
  class Access {
   public:
    explicit Access(DeviceMemory& memory) : memory_(memory) { memory_.set_open(true); }
    ~Access() { memory_.set_open(false); }
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;

   private:
    DeviceMemory& memory_;
  };

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
  void set_open(bool open);

  std::size_t total_ = std::size_t{8} << 30, used_ = 0;
  bool open_ = false;
  Pieces pieces_;  // by address
};

}  // namespace cola::emulation
