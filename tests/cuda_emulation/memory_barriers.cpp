#include "memory_barriers.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "block.h"
#include "emulation_error.h"
#include "warp_group_operations.h"

namespace cola::emulation {

namespace {

// What the eight bytes hold, so that a kernel that overwrites them is found.
constexpr std::uint64_t mark = 0x6261727269657221;

std::uint64_t& object_at(std::uint32_t address) {
  return *static_cast<std::uint64_t*>(shared_pointer("an mbarrier", address, sizeof(std::uint64_t)));
}

}  // namespace

MemoryBarriers::Barrier& MemoryBarriers::at(std::uint32_t address) {
  const auto found = barriers_.find(address);
  if (found == barriers_.end()) throw EmulationError("no mbarrier has been made at {:#x}", address);
  if (object_at(address) != mark) throw EmulationError("the mbarrier at {:#x} was overwritten", address);
  return found->second;
}

void MemoryBarriers::initialize(std::uint32_t address, std::uint32_t arrivals) {
  if (barriers_.contains(address)) throw EmulationError("the mbarrier at {:#x} is in use", address);
  if (arrivals == 0 || arrivals >= 1u << 20) throw EmulationError("an mbarrier of {} arrivals", arrivals);
  object_at(address) = mark;
  Barrier& barrier = barriers_[address];
  barrier.arrivals = barrier.missing = arrivals;
}

void MemoryBarriers::invalidate(std::uint32_t address) {
  const Barrier& barrier = at(address);
  if (!barrier.copies.empty() || !barrier.waiting.empty())
    throw EmulationError("the mbarrier at {:#x} is given up while it is waited for", address);
  barriers_.erase(address);
}

void MemoryBarriers::expect(std::uint32_t address, std::uint64_t bytes) {
  at(address).expected += bytes;
}

void MemoryBarriers::arrive(std::uint32_t address) {
  Barrier& barrier = at(address);
  if (barrier.missing == 0 && !end_phase(barrier))
    throw EmulationError("more than {} threads arrive at the mbarrier at {:#x}", barrier.arrivals, address);
  --barrier.missing;
  if (barrier.expected == 0 || !barrier.waiting.empty()) end_phase(barrier);
}

void MemoryBarriers::add_copy(std::uint32_t address, std::uint64_t bytes, std::function<void()> land) {
  Barrier& barrier = at(address);
  barrier.coming += bytes;
  barrier.copies.push_back({bytes, std::move(land)});
  if (!barrier.waiting.empty()) end_phase(barrier);
}

// False if something is missing.
bool MemoryBarriers::end_phase(Barrier& barrier) {
  if (barrier.missing > 0 || barrier.coming < barrier.expected) return false;
  if (barrier.coming > barrier.expected)
    throw EmulationError("copies bring {} bytes to an mbarrier that expects {}", barrier.coming,
                         barrier.expected);
  for (const Copy& copy : std::exchange(barrier.copies, {})) copy.land();
  barrier.expected = barrier.coming = 0;
  barrier.missing = barrier.arrivals;
  barrier.phase ^= 1;
  for (const std::uint32_t thread : std::exchange(barrier.waiting, {})) threads_.release(thread);
  return true;
}

bool MemoryBarriers::has_ended(std::uint32_t address, unsigned parity, bool may_land) {
  if (parity > 1) throw EmulationError("a phase of the parity {}", parity);
  Barrier& barrier = at(address);
  if (barrier.phase == parity && may_land) end_phase(barrier);
  return barrier.phase != parity;
}

void MemoryBarriers::wait(std::uint32_t address, unsigned parity) {
  while (!has_ended(address, parity, true)) {
    at(address).waiting.push_back(threads_.current());
    threads_.wait("mbarrier.try_wait");
  }
}

void MemoryBarriers::check_end() const {
  for (const auto& [address, barrier] : barriers_)
    if (!barrier.copies.empty())
      throw EmulationError("ends while copies to the mbarrier at {:#x} are under way", address);
}

std::string MemoryBarriers::describe_waiting() const {
  std::string text;
  for (const auto& [address, barrier] : barriers_)
    if (!barrier.waiting.empty())
      text +=
          fmt::format("; {} at the mbarrier at {:#x}, which lacks {} of {} arrivals and has {} of {} bytes",
                      barrier.waiting.size(), address, barrier.missing, barrier.arrivals, barrier.coming,
                      barrier.expected);
  return text;
}

}  // namespace cola::emulation
