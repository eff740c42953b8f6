// What the flash attention kernels share: tiles of rows in shared memory, and a warp's products of them on
// tensor cores.
//
// A block of four warps owns 64 rows (queries, or keys for their gradients), 16 a warp, and walks over tiles
// of the rows that these meet (keys, or queries). What a warp computes stays in registers
// (attention_fragments.h).
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "core/cuda/attention_fragments.h"
#include "core/cuda/attention_rows.h"
#include "core/cuda/tensor_core.h"

namespace cola::cuda::flash {

constexpr int block_threads = 128;
constexpr int own_rows = block_threads / warp_size * warp_rows;
/// Rows of a tile that is walked over: 8 KiB, so that enough blocks fit a multiprocessor.
template <int head_dim>
constexpr int walked_rows = 4096 / head_dim;

/// First of the 16 rows of the block's 64 that belong to this thread's warp.
__device__ inline int first_row_of_warp() {
  return static_cast<int>(threadIdx.x) / warp_size * warp_rows;
}

/// Rows of one head in shared memory. Each is followed by 16 unused bytes, so that the same 16 bytes of eight
/// neighbouring rows lie in eight different groups of banks.
template <int tile_rows, int head_dim>
struct Tile {
  static constexpr int stride = head_dim + 8;
  static constexpr int elements = tile_rows * stride;
  static constexpr int chunk = 8, chunks = head_dim / chunk;  // elements in 16 bytes, and those in a row

  __nv_bfloat16* memory;

  __device__ __nv_bfloat16* at(int row, int column) const { return memory + row * stride + column; }

  /// Starts loading rows `first_row` and following, zeros beyond the sequence. All threads of the block.
  __device__ void start_load(const HeadRows<const __nv_bfloat16>& from, int first_row) const {
    constexpr int rows_at_once = block_threads / chunks;
    const int thread = static_cast<int>(threadIdx.x);
    const int row = thread / chunks, column = thread % chunks * chunk;
    const __nv_bfloat16* source = from.row(first_row + row) + column;
#pragma unroll
    for (int i = 0; i < tile_rows; i += rows_at_once) {
      start_copy_to_shared(at(row, column) + i * stride, source, first_row + row + i < from.count);
      source += rows_at_once * from.stride;
    }
  }

  /// Writes the 16 rows of this thread's warp to a tensor whose row `first_row` is the tile's first, except
  /// those beyond the sequence. The fragments, each row times its factor, first take the place of the tile's
  /// rows, so that memory is written 16 bytes at a time.
  __device__ void store_warp_rows(const Fragments<head_dim>& fragments, const float (&factors)[2],
                                  const HeadRows<__nv_bfloat16>& to, int first_row) const {
    const int warp_row = first_row_of_warp();
    __syncwarp();  // all lanes have read what the rows held
#pragma unroll
    for (int n = 0; n < head_dim / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; e += 2)
        *reinterpret_cast<__nv_bfloat162*>(at(warp_row + fragment_row(e), fragment_column(n, e))) =
            __floats2bfloat162_rn(fragments[n][e] * factors[e / 2], fragments[n][e + 1] * factors[e / 2]);
    __syncwarp();
    constexpr int rows_at_once = warp_size / chunks;
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    const int row = warp_row + lane / chunks, column = lane % chunks * chunk;
    __nv_bfloat16* destination = to.row(first_row + row) + column;
#pragma unroll
    for (int i = 0; i < warp_rows; i += rows_at_once) {
      if (first_row + row + i < to.count)
        *reinterpret_cast<uint4*>(destination) =
            *reinterpret_cast<const uint4*>(at(row, column) + i * stride);
      destination += rows_at_once * to.stride;
    }
  }
};

template <int head_dim>
using OwnTile = Tile<own_rows, head_dim>;
template <int head_dim>
using WalkedTile = Tile<walked_rows<head_dim>, head_dim>;

/// Two tiles that are walked over together (keys and values, or queries and the output's gradients), in two
/// buffers: while one turn's tiles are worked on, the next turn's arrive.
template <int head_dim>
struct WalkedTiles {
  static constexpr int elements = 4 * WalkedTile<head_dim>::elements;

  __nv_bfloat16* memory;

  __device__ WalkedTile<head_dim> first(int turn) const {
    return {memory + turn % 2 * 2 * WalkedTile<head_dim>::elements};
  }
  __device__ WalkedTile<head_dim> second(int turn) const {
    return {first(turn).memory + WalkedTile<head_dim>::elements};
  }
  __device__ void start_load(int turn, const HeadRows<const __nv_bfloat16>& from_first,
                             const HeadRows<const __nv_bfloat16>& from_second, int first_row) const {
    first(turn).start_load(from_first, first_row);
    second(turn).start_load(from_second, first_row);
    close_copy_group();
  }
};

/// Waits for everything that the block has started to load. Also, every warp has then finished with the turn
/// before: its buffer may be loaded again.
__device__ inline void wait_for_turn() {
  wait_for_copies<0>();
  __syncthreads();
}

/// scores += own rows of this warp · walked rows, transposed.
template <int head_dim>
__device__ void multiply_rows(Fragments<walked_rows<head_dim>>& scores, const OwnTile<head_dim>& own,
                              const WalkedTile<head_dim>& walked) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size, warp_row = first_row_of_warp();
#pragma unroll
  for (int step = 0; step < head_dim / 16; ++step) {
    std::uint32_t left[4];
    load_tiles(left, own.at(warp_row + lane % 16, step * 16 + lane / 16 * 8));
#pragma unroll
    for (int n = 0; n < walked_rows<head_dim>; n += 16) {
      std::uint32_t right[4];
      load_tiles(right, walked.at(n + lane / 16 * 8 + lane % 8, step * 16 + lane / 8 % 2 * 8));
      multiply_tiles(scores[n / 8], left, {right[0], right[1]});
      multiply_tiles(scores[n / 8 + 1], left, {right[2], right[3]});
    }
  }
}

/// sums += weights, rounded to bf16, · walked rows.
template <int head_dim>
__device__ void add_weighted_rows(Fragments<head_dim>& sums, const Fragments<walked_rows<head_dim>>& weights,
                                  const WalkedTile<head_dim>& walked) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
#pragma unroll
  for (int step = 0; step < walked_rows<head_dim> / 16; ++step) {
    const auto &near = weights[step * 2], &far = weights[step * 2 + 1];
    const std::uint32_t left[4] = {bf16_pair(near[0], near[1]), bf16_pair(near[2], near[3]),
                                   bf16_pair(far[0], far[1]), bf16_pair(far[2], far[3])};
#pragma unroll
    for (int n = 0; n < head_dim; n += 16) {
      std::uint32_t right[4];
      load_tiles_transposed(right, walked.at(step * 16 + lane % 16, n + lane / 16 * 8));
      multiply_tiles(sums[n / 8], left, {right[0], right[1]});
      multiply_tiles(sums[n / 8 + 1], left, {right[2], right[3]});
    }
  }
}

}  // namespace cola::cuda::flash
