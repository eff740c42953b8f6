#include "block_runner.h"

#include <algorithm>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstring>
#include <map>
#include <numeric>
#include <utility>

#include "emulation_error.h"
#include "kernel_prelude.h"

namespace cola::emulation {

namespace {

constexpr std::size_t stack_bytes = 128 << 10;

std::string describe(const Site& site) {
  return fmt::format("{}:{}", site.file_name(), site.line());
}
bool same(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

}  // namespace

BlockRunner::~BlockRunner() = default;

void BlockRunner::run(const Grid& grid) {
  begin_grid(grid);
  // Blocks in the order first, first + step, ... modulo their number.
  const std::uint64_t count = std::uint64_t{grid.blocks.x} * grid.blocks.y * grid.blocks.z;
  std::uint64_t step = random_() % count + 1;
  while (std::gcd(step, count) != 1) step = step % count + 1;
  std::uint64_t block = random_() % count;
  for (std::uint64_t i = 0; i < count; ++i, block = (block + step) % count) {
    blockIdx = {static_cast<unsigned>(block % grid.blocks.x),
                static_cast<unsigned>(block / grid.blocks.x % grid.blocks.y),
                static_cast<unsigned>(block / grid.blocks.x / grid.blocks.y)};
    run_block(grid);
  }
  if (!fault_.empty()) throw EmulationError("{}", std::exchange(fault_, {}));
}

void BlockRunner::begin_grid(const Grid& grid) {
  grid_ = &grid;
  fault_.clear();
  gridDim = grid.blocks;
  blockDim = grid.threads;
  indices_.clear();
  for (unsigned z = 0; z < grid.threads.z; ++z)
    for (unsigned y = 0; y < grid.threads.y; ++y)
      for (unsigned x = 0; x < grid.threads.x; ++x) indices_.push_back({x, y, z});
  threads_.assign(indices_.size(), Thread());
  warps_.assign((indices_.size() + warp_lanes - 1) / warp_lanes, Warp());
  order_.resize(indices_.size());
}

// Warps in any order, and the lanes of a warp too.
void BlockRunner::draw_order() {
  std::vector<std::uint32_t> warps(warps_.size());
  std::iota(warps.begin(), warps.end(), 0u);
  std::shuffle(warps.begin(), warps.end(), random_);
  const auto flipped = static_cast<std::uint32_t>(random_() % warp_lanes);
  auto next = order_.begin();
  for (const std::uint32_t warp : warps)
    for (std::uint32_t lane = 0; lane < warp_lanes; ++lane)
      if (const std::uint32_t thread = warp * warp_lanes + (lane ^ flipped); thread < order_.size())
        *next++ = thread;
}

void BlockRunner::run_block(const Grid& grid) {
  draw_order();
  shared_memory_.prepare(grid.shared_bytes);
  started_ = finished_ = at_barrier_ = 0;
  ready_first_ = random_() % 2 == 0;
  failure_ = nullptr;
  try {
    while (finished_ < threads_.size() && !failure_) {
      if (!ready_.empty() && (ready_first_ || started_ == threads_.size())) {
        become(ready_.front());
        ready_.pop_front();
        run_until_waiting(*threads_[current_].fiber);
      } else if (started_ < threads_.size()) {
        run_until_waiting(idle_fiber());
      } else {
        throw_deadlock();
      }
    }
    if (failure_) std::rethrow_exception(failure_);
    shared_memory_.check_end();
  } catch (const EmulationError& error) {
    abandon_fibers();
    throw EmulationError("{}: {}", describe_current(), error.what());
  }
}

void BlockRunner::run_until_waiting(Fiber& fiber) {
  fiber.own = std::move(fiber.own).resume();
}

BlockRunner::Fiber& BlockRunner::idle_fiber() {
  if (idle_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>());
    Fiber& fiber = *fibers_.back();
    const auto body = [this, &fiber](boost::context::fiber&& scheduler) {
      fiber.scheduler = std::move(scheduler);
      for (;;) {
        run_threads(fiber);
        idle_.push_back(&fiber);
        fiber.scheduler = std::move(fiber.scheduler).resume();
      }
      return std::move(fiber.scheduler);
    };
    fiber.own = boost::context::fiber(std::allocator_arg,
                                      boost::context::protected_fixedsize_stack(stack_bytes), body);
    return fiber;
  }
  Fiber& fiber = *idle_.back();
  idle_.pop_back();
  return fiber;
}

bool BlockRunner::may_start_another() const {
  return !failure_ && started_ < threads_.size() && !(ready_first_ && !ready_.empty());
}

// On a fiber: starts threads and runs each to its end. Waiting inside one leaves the fiber and comes back.
void BlockRunner::run_threads(Fiber& fiber) {
  while (may_start_another()) {
    const std::uint32_t thread = order_[started_++];
    become(thread);
    threads_[thread].fiber = &fiber;
    try {
      grid_->body();
      ++finished_;
    } catch (const EmulationError&) {
      failure_ = std::current_exception();
    }
    threads_[thread].copy_groups.clear();
  }
}

void BlockRunner::become(std::uint32_t thread) {
  current_ = thread;
  threadIdx = indices_[thread];
}

void BlockRunner::wait(const char* name) {
  Thread& thread = threads_[current_];
  thread.waits_in = name;
  Fiber& fiber = *thread.fiber;
  fiber.scheduler = std::move(fiber.scheduler).resume();
}

void BlockRunner::release(std::uint32_t thread) {
  threads_[thread].waits_in = nullptr;
  ready_.push_back(thread);
}

// Destroying a fiber unwinds what waits on it.
void BlockRunner::abandon_fibers() {
  idle_.clear();
  fibers_.clear();
  ready_.clear();
  threads_.assign(threads_.size(), Thread());
  warps_.assign(warps_.size(), Warp());
}

void BlockRunner::throw_deadlock() const {
  std::map<std::string, int> waiting;
  for (const Thread& thread : threads_)
    if (thread.waits_in) ++waiting[thread.waits_in];
  std::string places;
  for (const auto& [name, count] : waiting) places += fmt::format("{} wait in {}, ", count, name);
  for (const Warp& warp : warps_)
    if (warp.arrived > 0) places += fmt::format("at {} in a warp, ", describe(warp.site));
  if (at_barrier_ > 0) places += fmt::format("at {} in the block, ", describe(barrier_));
  throw EmulationError("threads wait for others that never come: {}{} of {} have finished", places, finished_,
                       threads_.size());
}

void BlockRunner::wait_for_block(const Site& site) {
  if (at_barrier_ == 0)
    barrier_ = site;
  else if (!same(barrier_, site))
    throw EmulationError("came to __syncthreads at {} while others of the block are at {}", describe(site),
                         describe(barrier_));
  if (finished_ > 0)
    throw EmulationError("came to __syncthreads at {}, but {} threads of the block have finished",
                         describe(site), finished_);
  if (++at_barrier_ == threads_.size()) {
    at_barrier_ = 0;
    draw_order();
    for (const std::uint32_t thread : order_) release(thread);
    wait(nullptr);
  } else {
    wait("__syncthreads");
  }
}

void BlockRunner::join_warp(const char* name, unsigned mask, WarpOperation operation, void* operand,
                            const Site& site) {
  const std::uint32_t number = current_ / warp_lanes, first = number * warp_lanes;
  Warp& warp = warps_[number];
  if (mask != 0xffffffffu)
    throw EmulationError("{} at {} with mask {:#x}: only whole warps are emulated", name, describe(site),
                         mask);
  if (first + warp_lanes > threads_.size())
    throw EmulationError("{} at {} in a warp of {} lanes", name, describe(site), threads_.size() - first);
  if (warp.arrived == 0) {
    warp.operation = operation;
    warp.site = site;
  } else if (warp.operation != operation || !same(warp.site, site)) {
    throw EmulationError("came to {} at {} while other lanes of the warp are at {}", name, describe(site),
                         describe(warp.site));
  }
  warp.operands[current_ - first] = operand;
  if (++warp.arrived < warp_lanes) return wait(name);
  warp.arrived = 0;
  operation(warp.operands);
  for (std::uint32_t thread = first; thread < first + warp_lanes; ++thread)
    if (thread != current_) release(thread);
}

void BlockRunner::start_copy(void* shared, const void* global, bool valid) {
  if (reinterpret_cast<std::uintptr_t>(global) % 16 != 0)
    throw EmulationError("start_copy_to_shared from {}, which is not aligned to 16 bytes", global);
  auto& groups = threads_[current_].copy_groups;
  if (groups.empty()) groups.emplace_back();
  groups.back().push_back({shared, global, valid});
}

void BlockRunner::close_copy_group() {
  auto& groups = threads_[current_].copy_groups;
  if (groups.empty()) groups.emplace_back();
  groups.emplace_back();
}

void BlockRunner::wait_for_copies(std::size_t newest) {
  auto& groups = threads_[current_].copy_groups;
  while (groups.size() > newest + 1) {  // the last one is open
    for (const Copy& copy : groups.front())
      if (copy.valid)
        std::memcpy(copy.shared, copy.global, 16);
      else
        std::memset(copy.shared, 0, 16);
    groups.erase(groups.begin());
  }
}

void BlockRunner::remember_fault(const std::string& what) {
  if (fault_.empty()) fault_ = describe_current() + ": " + what;
}

std::string BlockRunner::describe_current() const {
  if (!grid_) return "no kernel";
  return fmt::format("{}, block ({}, {}, {}), thread ({}, {}, {})", grid_->name, blockIdx.x, blockIdx.y,
                     blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
}

}  // namespace cola::emulation
