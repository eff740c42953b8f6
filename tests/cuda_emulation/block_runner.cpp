#include "block_runner.h"

#include <cstring>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "emulation_error.h"
#include "kernel_prelude.h"

namespace cola::emulation {

namespace {

constexpr unsigned whole_warp = 0xffffffffu;

std::string describe(const Site& site) {
  return fmt::format("{}:{}", site.file_name(), site.line());
}
bool same(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

}  // namespace

BlockRunner::BlockRunner(std::uint64_t seed)
    : random_(seed),
      threads_(random_, [this](std::uint32_t thread) { threadIdx = indices_[thread]; }),
      memory_barriers_(threads_) {}

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
  copies_.resize(indices_.size());
  bulk_stores_.resize(indices_.size());
  warps_.resize((indices_.size() + warp_lanes - 1) / warp_lanes);
  products_.resize(warps_.size());
}

void BlockRunner::run_block(const Grid& grid) {
  shared_memory_.prepare(grid.shared_bytes, grid.shared_alignment);
  for (CopyQueue& queue : copies_) queue.clear();
  for (Warp& warp : warps_) warp.arrived = 0;
  for (GroupProducts& products : products_) products.clear();
  for (BulkStores& stores : bulk_stores_) stores.clear();
  memory_barriers_.clear();
  at_barrier_ = 0;
  at_group_barriers_.clear();
  races_.begin_block(warps_.size());
  if (accesses_are_observed) running_block = this;
  try {
    threads_.run(static_cast<std::uint32_t>(indices_.size()), grid.body,
                 [this] { return describe_places(); });
    shared_memory_.check_end();
    for (const GroupProducts& products : products_)
      if (products.under_way()) throw EmulationError("ends while products are under way");
    memory_barriers_.check_end();
    for (const BulkStores& stores : bulk_stores_)
      if (stores.reading()) throw EmulationError("ends while bulk copies read its shared memory");
    for (BulkStores& stores : bulk_stores_) stores.wait(0);
    running_block = nullptr;
  } catch (const EmulationError& error) {
    running_block = nullptr;
    throw EmulationError("{}: {}", describe_current(), error.what());
  }
}

void BlockRunner::wait_for_block(const Site& site) {
  if (at_barrier_ == 0)
    barrier_ = site;
  else if (!same(barrier_, site))
    throw EmulationError("came to __syncthreads at {} while others of the block are at {}", describe(site),
                         describe(barrier_));
  if (threads_.finished() > 0)
    throw EmulationError("came to __syncthreads at {}, but {} threads of the block have finished",
                         describe(site), threads_.finished());
  if (++at_barrier_ == threads_.count()) {
    at_barrier_ = 0;
    races_.order_block();
    shared_memory_.threads_have_met();
    threads_.release_all();
    threads_.wait(nullptr);
  } else {
    threads_.wait("__syncthreads");
  }
}

void BlockRunner::wait_for_group(int barrier, int count) {
  std::vector<std::uint32_t>& arrived = at_group_barriers_[barrier];
  if (static_cast<int>(arrived.size()) + 1 < count) {
    arrived.push_back(threads_.current());
    return threads_.wait("a barrier of a group of warps");
  }
  shared_memory_.threads_have_met();
  std::set<std::uint32_t> warps{threads_.current() / warp_lanes};
  for (const std::uint32_t thread : arrived) warps.insert(thread / warp_lanes);
  races_.order_warps(std::vector(warps.begin(), warps.end()));
  for (const std::uint32_t thread : std::exchange(arrived, {})) threads_.release(thread);
}

void BlockRunner::note_shared_access(std::size_t offset, std::size_t bytes, Access access,
                                     const void* place) {
  if (access == Access::write) shared_memory_.note_writer(offset, bytes, warp());
  if (!fault_.empty()) return;
  const std::optional<std::string> race = access == Access::write
                                              ? races_.write(threads_.current(), offset, bytes, place)
                                              : races_.read(threads_.current(), offset, bytes, place);
  if (race) remember_fault(*race + ", and nothing orders the two");
}

void BlockRunner::join_warp(const char* name, unsigned mask, WarpOperation operation, void* operand,
                            const Site& site) {
  const std::uint32_t own = threads_.current(), first = own / warp_lanes * warp_lanes;
  Warp& warp = warps_[own / warp_lanes];
  check_arrival(warp, name, mask, operation, site);
  warp.operation = operation;
  warp.site = site;
  warp.operands[own - first] = operand;
  if (++warp.arrived < warp_lanes) return threads_.wait(name);
  warp.arrived = 0;
  operation(warp.operands);
  for (std::uint32_t thread = first; thread < first + warp_lanes; ++thread)
    if (thread != own) threads_.release(thread);
}

void BlockRunner::check_arrival(const Warp& warp, const char* name, unsigned mask, WarpOperation operation,
                                const Site& site) const {
  const std::uint32_t lanes = threads_.count() - threads_.current() / warp_lanes * warp_lanes;
  if (mask != whole_warp)
    throw EmulationError("{} at {} with mask {:#x}: only whole warps are emulated", name, describe(site),
                         mask);
  if (lanes < warp_lanes) throw EmulationError("{} at {} in a warp of {} lanes", name, describe(site), lanes);
  if (warp.arrived > 0 && (warp.operation != operation || !same(warp.site, site)))
    throw EmulationError("came to {} at {} while other lanes of the warp are at {}", name, describe(site),
                         describe(warp.site));
}

void BlockRunner::remember_fault(const std::string& what) {
  if (fault_.empty()) fault_ = describe_current() + ": " + what;
}

std::string BlockRunner::describe_current() const {
  if (!grid_) return "no kernel";
  return fmt::format("{}, block ({}, {}, {}), thread ({}, {}, {})", grid_->name, blockIdx.x, blockIdx.y,
                     blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
}

// Where threads wait for others.
std::string BlockRunner::describe_places() const {
  std::string places;
  if (at_barrier_ > 0) places += fmt::format("; the block at {}", describe(barrier_));
  for (const Warp& warp : warps_)
    if (warp.arrived > 0) places += fmt::format("; a warp at {}", describe(warp.site));
  return places + memory_barriers_.describe_waiting();
}

}  // namespace cola::emulation
