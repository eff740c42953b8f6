// RaceCheck: finds threads of a block that touch the same shared memory, at least one of them writing, with
// nothing between that orders the two. What orders memory is __syncthreads, barriers of groups of warps, and
// __syncwarp among the lanes of a warp; other exchanges among lanes do not (CUDA C++ Programming Guide, "Warp
// Shuffle Functions").
//
// Between two such events a warp is in one epoch; epochs are counted upwards over all warps and blocks. A
// warp knows the epoch that each other warp had reached when they last met, directly or through others. What
// a warp did in an earlier epoch than the known one lies before all that follows. (FastTrack, Flanagan and
// Freund, 2009, with warps in the place of threads.)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace cola::emulation {

class RaceCheck {
 public:
  /// A new block of `warps` warps, at most 32: nothing of the blocks before is remembered.
  void begin_block(std::size_t warps);
  /// All of the block have met.
  void order_block();
  /// These warps have met.
  void order_warps(std::span<const std::uint32_t> warps);
  /// The lanes of one warp have met.
  void order_lanes(std::uint32_t warp);

  /// Thread `thread` of the block touches `bytes` bytes from `offset` on, in the code at `place`. Says which
  /// access before is not ordered with this one, if one is not.
  std::optional<std::string> read(std::uint32_t thread, std::size_t offset, std::size_t bytes,
                                  const void* place);
  std::optional<std::string> write(std::uint32_t thread, std::size_t offset, std::size_t bytes,
                                   const void* place);

 private:
  static constexpr std::size_t most_warps = 32, cell_bytes = 2;  // the smallest that kernels share
  using Epoch = std::uint32_t;

  struct Touch {
    Epoch epoch = 0;
    std::uint32_t thread = 0;  // or several_lanes of the warp
    const void* place = nullptr;
  };
  struct Cell {
    Touch written;
    std::uint32_t readers = 0;  // a bit a warp, since then
  };
  /// The cells of these bytes; there are at least as many after that.
  std::pair<std::size_t, std::size_t> cells_of(std::uint32_t warp, std::size_t offset, std::size_t bytes);
  bool is_ordered(const Touch& before, std::uint32_t warp_before, std::uint32_t thread) const;

  Epoch newest_ = 0;
  std::size_t warps_ = 0;
  std::array<Epoch, most_warps> epochs_{};
  std::array<std::array<Epoch, most_warps>, most_warps> known_{};  // known_[a][b]: how far a knows b
  std::vector<Cell> cells_;
  std::array<std::vector<Touch>, most_warps> reads_;  // the newest of each warp, by cell
};

}  // namespace cola::emulation
