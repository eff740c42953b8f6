// BlockRunner: runs a kernel's blocks one after another on the calling thread; within a block, what its
// threads do together.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "block.h"
#include "bulk_copies.h"
#include "copy_queue.h"
#include "grid.h"
#include "memory_barriers.h"
#include "race_check.h"
#include "shared_memory.h"
#include "thread_scheduler.h"
#include "warp_group_operations.h"

namespace cola::emulation {

class BlockRunner {
 public:
  explicit BlockRunner(std::uint64_t seed);

  /// Runs all blocks of the grid, in an order drawn anew. Throws EmulationError naming kernel, block and
  /// thread.
  void run(const Grid& grid);

  // What block.h declares, for the thread that runs now.
  void wait_for_block(const Site& site);
  void join_warp(const char* name, unsigned mask, WarpOperation operation, void* operand, const Site& site);
  /// __syncthreads of `count` threads of the block, which name the same barrier.
  void wait_for_group(int barrier, int count);
  void order_lanes() { races_.order_lanes(threads_.current() / warp_lanes); }
  void note_access(const void* address, std::size_t bytes, Access access, const void* place) {
    if (const auto offset = shared_memory_.offset_of(address, bytes))
      note_shared_access(*offset, bytes, access, place);
  }
  SharedMemory& shared_memory() { return shared_memory_; }
  /// What the current warp's group of four has started, and the warp's rows in it.
  GroupProducts& products() { return products_[threads_.current() / warp_lanes]; }
  unsigned first_row_in_group() const { return threads_.current() / warp_lanes % 4 * 16; }
  CopyQueue& copies() { return copies_[threads_.current()]; }
  MemoryBarriers& memory_barriers() { return memory_barriers_; }
  /// What the current thread has started.
  BulkStores& bulk_stores() { return bulk_stores_[threads_.current()]; }
  std::uint32_t warp() const { return threads_.current() / warp_lanes; }
  unsigned lane() const { return threads_.current() % warp_lanes; }
  /// Whether something that may be late is.
  bool draw_late() { return random_() % 2 == 0; }

  /// The kernel goes on; its run ends with this error. The first one counts.
  void remember_fault(const std::string& what);
  const std::string& fault() const { return fault_; }
  /// Kernel, block and thread, for messages.
  std::string describe_current() const;

 private:
  struct Warp {
    unsigned arrived = 0;
    WarpOperation operation = nullptr;
    Site site;
    Operands operands;
  };

  void note_shared_access(std::size_t offset, std::size_t bytes, Access access, const void* place);
  void begin_grid(const Grid& grid);
  void run_block(const Grid& grid);
  void check_arrival(const Warp& warp, const char* name, unsigned mask, WarpOperation operation,
                     const Site& site) const;
  std::string describe_places() const;

  std::mt19937_64 random_;
  SharedMemory shared_memory_;
  RaceCheck races_;
  ThreadScheduler threads_;
  MemoryBarriers memory_barriers_;

  const Grid* grid_ = nullptr;
  std::vector<uint3> indices_;  // of the threads
  std::vector<CopyQueue> copies_;
  std::vector<BulkStores> bulk_stores_;  // of the threads
  std::vector<Warp> warps_;
  std::vector<GroupProducts> products_;  // of the warps
  std::uint32_t at_barrier_ = 0;
  Site barrier_;
  std::map<int, std::vector<std::uint32_t>> at_group_barriers_;
  std::string fault_;
};

/// Whether accesses to shared memory are checked for races; then, what runs a block now, null between blocks.
inline std::atomic<bool> accesses_are_observed = false;
inline std::atomic<BlockRunner*> running_block = nullptr;

}  // namespace cola::emulation
