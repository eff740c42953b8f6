#include "race_check.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "block.h"

namespace cola::emulation {

namespace {

constexpr std::uint32_t several_lanes = 0xffffffffu;

std::string describe(std::uint32_t thread, std::uint32_t warp) {
  return thread == several_lanes ? fmt::format("several lanes of warp {}", warp)
                                 : fmt::format("thread {}", thread);
}

// As addr2line -e takes it.
std::string describe_place(const void* place) {
  Dl_info found{};
  if (place == nullptr || dladdr(place, &found) == 0) return "an unknown place";
  return fmt::format(
      "{} {:#x}", found.dli_fname,
      reinterpret_cast<std::uintptr_t>(place) - reinterpret_cast<std::uintptr_t>(found.dli_fbase));
}

}  // namespace

void RaceCheck::begin_block(std::size_t warps) {
  warps_ = warps;
  order_block();
}

void RaceCheck::order_block() {
  epochs_.fill(++newest_);
  for (std::size_t warp = 0; warp < warps_; ++warp) known_[warp].fill(newest_);
}

void RaceCheck::order_warps(std::span<const std::uint32_t> warps) {
  std::array<Epoch, most_warps> joint{};
  for (const std::uint32_t warp : warps)
    for (std::size_t other = 0; other < warps_; ++other)
      joint[other] = std::max(joint[other], known_[warp][other]);
  ++newest_;
  for (const std::uint32_t warp : warps) joint[warp] = epochs_[warp] = newest_;
  for (const std::uint32_t warp : warps) known_[warp] = joint;
}

void RaceCheck::order_lanes(std::uint32_t warp) {
  epochs_[warp] = ++newest_;
}

bool RaceCheck::is_ordered(const Touch& before, std::uint32_t warp_before, std::uint32_t thread) const {
  const std::uint32_t warp = thread / warp_lanes;
  if (warp == warp_before) return before.thread == thread || before.epoch < epochs_[warp];
  return before.epoch < known_[warp][warp_before];
}

std::pair<std::size_t, std::size_t> RaceCheck::cells_of(std::uint32_t warp, std::size_t offset,
                                                        std::size_t bytes) {
  const std::size_t end = (offset + bytes + cell_bytes - 1) / cell_bytes;
  if (end > cells_.size()) cells_.resize(end + end / 4);
  if (end > reads_[warp].size()) reads_[warp].resize(cells_.size());
  return {offset / cell_bytes, end};
}

std::optional<std::string> RaceCheck::read(std::uint32_t thread, std::size_t offset, std::size_t bytes,
                                           const void* place) {
  const std::uint32_t warp = thread / warp_lanes;
  const auto [first, end] = cells_of(warp, offset, bytes);
  for (std::size_t i = first; i < end; ++i) {
    Cell& cell = cells_[i];
    if (!is_ordered(cell.written, cell.written.thread / warp_lanes, thread))
      return fmt::format("reads byte {} of shared memory at {}, which thread {} wrote at {}", i * cell_bytes,
                         describe_place(place), cell.written.thread, describe_place(cell.written.place));
    Touch& newest = reads_[warp][i];
    const bool by_others =
        (cell.readers >> warp & 1) != 0 && newest.epoch == epochs_[warp] && newest.thread != thread;
    newest = {epochs_[warp], by_others ? several_lanes : thread, place};
    cell.readers |= 1u << warp;
  }
  return {};
}

std::optional<std::string> RaceCheck::write(std::uint32_t thread, std::size_t offset, std::size_t bytes,
                                            const void* place) {
  const std::uint32_t warp = thread / warp_lanes;
  const auto [first, end] = cells_of(warp, offset, bytes);
  const auto conflict = [&](std::size_t i, const std::string& other, const char* did, const void* at) {
    return fmt::format("writes byte {} of shared memory at {}, which {} {} at {}", i * cell_bytes,
                       describe_place(place), other, did, describe_place(at));
  };
  for (std::size_t i = first; i < end; ++i) {
    Cell& cell = cells_[i];
    if (!is_ordered(cell.written, cell.written.thread / warp_lanes, thread))
      return conflict(i, describe(cell.written.thread, 0), "wrote", cell.written.place);
    for (std::uint32_t left = cell.readers; left != 0; left &= left - 1) {
      const auto reader = static_cast<std::uint32_t>(std::countr_zero(left));
      const Touch& read = reads_[reader][i];
      if (!is_ordered(read, reader, thread))
        return conflict(i, describe(read.thread, reader), "read", read.place);
    }
    cell = {{epochs_[warp], thread, place}, 0};
  }
  return {};
}

}  // namespace cola::emulation
