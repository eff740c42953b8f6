// MemoryBarriers: a block's mbarrier objects (PTX ISA, "Parallel Synchronization and Communication
// Instructions: mbarrier"). A phase ends when all arrivals have come and the copies that it waits for have
// brought their bytes, which they do as late as they may: when a thread waits for the phase.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "thread_scheduler.h"

namespace cola::emulation {

class MemoryBarriers {
 public:
  explicit MemoryBarriers(ThreadScheduler& threads) : threads_(threads) {}

  /// For a new block.
  void clear() { barriers_.clear(); }

  /// `address` is one in shared memory, as instructions take it; so are all below.
  void initialize(std::uint32_t address, std::uint32_t arrivals);
  void invalidate(std::uint32_t address);
  /// The phase waits for so many bytes more.
  void expect(std::uint32_t address, std::uint64_t bytes);
  void arrive(std::uint32_t address);
  /// A copy that is under way: `land` is called at last, and brings so many bytes.
  void add_copy(std::uint32_t address, std::uint64_t bytes, std::function<void()> land);
  /// Whether the phase of that parity has ended; with `may_land` it ends here if it can.
  bool has_ended(std::uint32_t address, unsigned parity, bool may_land);
  /// Returns when the phase of that parity has ended.
  void wait(std::uint32_t address, unsigned parity);

  /// Throws EmulationError if copies are under way.
  void check_end() const;
  /// What barriers that threads wait for lack.
  std::string describe_waiting() const;

 private:
  struct Copy {
    std::uint64_t bytes;
    std::function<void()> land;
  };
  struct Barrier {
    std::uint32_t arrivals = 0, missing = 0;
    unsigned phase = 0;                      // its parity: the one that has not ended
    std::uint64_t expected = 0, coming = 0;  // bytes
    std::vector<Copy> copies;
    std::vector<std::uint32_t> waiting;  // threads
  };

  Barrier& at(std::uint32_t address);
  bool end_phase(Barrier& barrier);

  ThreadScheduler& threads_;
  std::map<std::uint32_t, Barrier> barriers_;
};

}  // namespace cola::emulation
