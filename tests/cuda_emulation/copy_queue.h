// CopyQueue: the asynchronous copies from global to shared memory (cp.async) of one thread.
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "block.h"

namespace cola::emulation {

constexpr std::size_t async_copy_bytes = 16;

class CopyQueue {
 public:
  /// Zeros take the place of the source where it is not `valid`.
  void start(void* shared, const void* global, bool valid) { open_.push_back({shared, global, valid}); }

  void close_group() {
    closed_.push_back(std::move(open_));
    open_.clear();
  }

  /// Copies, at last, all closed groups but the `newest`.
  void wait(std::size_t newest) {
    while (closed_.size() > newest) {
      for (const Copy& copy : closed_.front()) finish(copy);
      closed_.erase(closed_.begin());
    }
  }

  void clear() {
    open_.clear();
    closed_.clear();
  }

 private:
  struct Copy {
    void* shared;
    const void* global;
    bool valid;
  };

  static void finish(const Copy& copy) {
    note_access(copy.shared, async_copy_bytes, Access::write, __builtin_return_address(0));
    if (copy.valid)
      std::memcpy(copy.shared, copy.global, async_copy_bytes);
    else
      std::memset(copy.shared, 0, async_copy_bytes);
  }

  std::vector<Copy> open_;
  std::vector<std::vector<Copy>> closed_;  // oldest first
};

}  // namespace cola::emulation
