// SharedMemory: what a block's threads share, filled with NaN before each block starts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace cola::emulation {

/// What a block of an H100 may use at most.
constexpr std::size_t maximum_shared_bytes = std::size_t{227} << 10;

class SharedMemory {
 public:
  /// Made on the thread that runs the kernels: its thread-local variables are the static shared arrays.
  SharedMemory();
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  /// For a new block with `bytes` of dynamic shared memory, at a multiple of `alignment`: a guard page
  /// follows them.
  void prepare(std::size_t bytes, std::size_t alignment);
  /// Throws EmulationError if something was written between the dynamic memory's end and the guard page.
  void check_end() const;

  unsigned char* dynamic() const { return dynamic_; }
  /// Where an address lies in dynamic or static shared memory; none unless these bytes lie there wholly.
  std::optional<std::size_t> offset_of(const void* address, std::size_t bytes) const {
    if (const std::size_t offset = offset_in(dynamic_, address); fits(offset, bytes, dynamic_bytes_))
      return offset;
    if (const std::size_t offset = offset_in(static_.data(), address); fits(offset, bytes, static_.size()))
      return maximum_shared_bytes + offset;
    return {};
  }

  /// A warp has written these bytes: where that is said, it alone shows them. By the offset in dynamic shared
  /// memory.
  void note_writer(std::size_t offset, std::size_t bytes, std::uint32_t warp);
  /// What a warp has written to dynamic shared memory becomes visible to products of groups of warps and to
  /// bulk copies.
  void show_to_products(std::uint32_t warp) { show_writes_of(std::uint32_t{1} << warp); }
  /// The same, when warps have next met at a barrier: a thread that has not met the others cannot know that
  /// they have asked for it.
  void show_when_threads_meet(std::uint32_t warp) { show_later_ |= std::uint32_t{1} << warp; }
  void threads_have_met() {
    if (show_later_ != 0) show_writes_of(std::exchange(show_later_, 0));
  }
  /// A bulk copy writes to dynamic shared memory, which they see at once.
  void write_shown(void* address, const void* values, std::size_t bytes);
  /// Throws EmulationError unless they see these bytes of dynamic shared memory as they are.
  void check_shown(const void* address, std::size_t bytes) const;

 private:
  static constexpr std::uint8_t unknown_writer = 0xff;

  void show_writes_of(std::uint32_t warps);  // a bit a warp
  static std::size_t offset_in(const unsigned char* begin, const void* address) {
    return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(begin);
  }
  static bool fits(std::size_t offset, std::size_t bytes, std::size_t size) {
    return offset < size && bytes <= size - offset;
  }

  std::span<unsigned char> mapping_, static_;
  unsigned char* dynamic_ = nullptr;
  std::size_t dynamic_bytes_ = 0;
  std::uint32_t show_later_ = 0;       // a bit a warp
  std::vector<unsigned char> shown_;   // dynamic shared memory as they see it
  std::vector<std::uint8_t> writers_;  // the last one of each byte; empty before the first is known
};

}  // namespace cola::emulation
