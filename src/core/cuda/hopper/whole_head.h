// What the kernels with a whole head in shared memory share. A block of two groups of warps holds the rows of
// a head as squares, one for each 64 positions of each input; a group works on one square at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/cuda/attention_fragments.h"
#include "core/cuda/attention_rows.h"
#include "core/cuda/hopper/warp_group.h"
#include "core/cuda/launch.h"
#include "core/divide_up.h"

namespace cola::cuda::whole_head {

using flash::fragment_column;
using flash::fragment_row;
using warp_group::Left;
using warp_group::Lies;
using warp_group::square;
using warp_group::square_bytes;
using warp_group::Sums;

constexpr int head_dim = square, most_positions = 4 * square;
constexpr int groups = 2, all_threads = groups * warp_group::threads;
constexpr int chunk = 8, chunks = head_dim / chunk;  // elements in 16 bytes, and those in a row

/// Squares that hold a sequence.
constexpr int squares_of(std::int64_t sequence) {
  return static_cast<int>(divide_up(sequence, square));
}

/// Shared memory to ask for a block that keeps a Head of this many positions.
template <typename Head>
constexpr std::size_t shared_bytes_for(std::int64_t sequence) {
  constexpr std::size_t most = std::size_t{227} << 10;  // of a block on Hopper
  static_assert(Head::bytes(squares_of(most_positions)) + warp_group::square_alignment <= most);
  return Head::bytes(squares_of(sequence)) + warp_group::square_alignment;
}

/// The block's dynamic shared memory, of which `square_alignment` bytes more are asked for than are used.
__device__ inline unsigned char* aligned_shared_memory() {
  unsigned char* const memory = dynamic_shared_memory();
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  return memory + (warp_group::square_alignment - address % warp_group::square_alignment) %
                      warp_group::square_alignment;
}

__device__ inline int thread_group() {
  return static_cast<int>(threadIdx.x) / warp_group::threads;
}
/// First of this warp's 16 rows of a square.
__device__ inline int first_row_of_warp() {
  return static_cast<int>(threadIdx.x) % warp_group::threads / warp_size * flash::warp_rows;
}

/// Calls work(i) for this group's squares. Of four, one group takes the first and the last: the last queries
/// meet the most keys, the first keys the most queries.
template <typename Work>
__device__ void for_own_squares(int squares, const Work& work) {
  static_assert(groups == 2 && most_positions == 4 * square);
  const int near = thread_group(), far = most_positions / square - 1 - near;
#pragma unroll 1
  for (int i = near; i <= min(far, squares - 1); i += far - near) work(i);
}

/// The rows of the block's head, which stands at (blockIdx.x, blockIdx.y) = (head, sample).
template <typename T>
__device__ HeadRows<T> own_head(T* tensor, const AttentionShape& shape) {
  return head_rows(tensor, shape, shape.heads, blockIdx.y, blockIdx.x);
}
inline dim3 grid_of_heads(const AttentionShape& shape) {
  return dim3(static_cast<unsigned>(shape.heads), static_cast<unsigned>(shape.batch));
}

/// How a block's threads take part in loading a head: each the same chunk of every 32nd row.
struct LoadPlace {
  static constexpr int rows_at_once = all_threads / chunks, most_turns = most_positions / rows_at_once;
  int first_row = static_cast<int>(threadIdx.x) / chunks, column = static_cast<int>(threadIdx.x) % chunks;

  __device__ static int turns(int squares) { return squares * square / rows_at_once; }
  __device__ int row(int turn) const { return first_row + turn * rows_at_once; }
  /// In bytes, from the first square of an input.
  __device__ int offset(int turn) const {
    return row(turn) / square * static_cast<int>(square_bytes) +
           warp_group::offset_in_square(row(turn) % square, column);
  }
  /// Starts this thread's part of loading all rows; zeros beyond the sequence.
  __device__ void start_load(unsigned char* to, int squares,
                             const HeadRows<const __nv_bfloat16>& from) const {
    for (int turn = 0; turn < turns(squares); ++turn)
      start_copy_to_shared(to + offset(turn), from.row(row(turn)) + column * chunk, row(turn) < from.count);
  }
};

/// Writes this warp's rows of [64, 64], each times its factor, to a tensor whose row `first_row` is the first
/// of the 64, except those beyond the sequence, by way of a square that nobody reads any longer.
__device__ inline void store(const Sums& sums, const float (&factors)[2], unsigned char* staging,
                             const HeadRows<__nv_bfloat16>& to, int first_row) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size, warp_row = first_row_of_warp();
  __syncwarp();  // all lanes have read what was staged before
#pragma unroll
  for (int n = 0; n < chunks; ++n)
#pragma unroll
    for (int e = 0; e < 4; e += 2)
      *reinterpret_cast<__nv_bfloat162*>(
          staging + warp_group::offset_in_square(warp_row + fragment_row(e), n) + lane % 4 * 4) =
          __floats2bfloat162_rn(sums[n][e] * factors[e / 2], sums[n][e + 1] * factors[e / 2]);
  __syncwarp();
  constexpr int rows_at_once = warp_size / chunks;
#pragma unroll
  for (int i = 0; i < flash::warp_rows; i += rows_at_once) {
    const int row = warp_row + lane / chunks + i;
    if (first_row + row < to.count)
      *reinterpret_cast<uint4*>(to.row(first_row + row) + lane % chunks * chunk) =
          *reinterpret_cast<const uint4*>(staging + warp_group::offset_in_square(row, lane % chunks));
  }
}

/// Starts sums = left · right, both a whole square deep.
__device__ inline void start_square_product(Sums& sums, const unsigned char* left,
                                            const unsigned char* right) {
#pragma unroll
  for (int step = 0; step < warp_group::depths; ++step)
    warp_group::start_product<Lies::along_rows, Lies::along_rows>(
        sums, warp_group::part_of<Lies::along_rows>(left, step),
        warp_group::part_of<Lies::along_rows>(right, step), step > 0);
  warp_group::close_products();
}
/// Starts sums += weights · rows of the square.
__device__ inline void start_weighted_rows(Sums& sums, const Left (&weights)[warp_group::depths],
                                           const unsigned char* rows) {
  warp_group::prepare_products(weights, sums);
#pragma unroll
  for (int step = 0; step < warp_group::depths; ++step)
    warp_group::start_product<Lies::down_columns>(sums, weights[step],
                                                  warp_group::part_of<Lies::down_columns>(rows, step));
  warp_group::close_products();
}

/// Rounds to bf16: two tiles [16, 8] side by side are a left operand.
__device__ inline void round_to_left(const Sums& sums, Left (&left)[warp_group::depths]) {
#pragma unroll
  for (int step = 0; step < warp_group::depths; ++step)
#pragma unroll
    for (int tile = 0; tile < 2; ++tile)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        left[step][2 * tile + half] =
            flash::bf16_pair(sums[2 * step + tile][2 * half], sums[2 * step + tile][2 * half + 1]);
}

}  // namespace cola::cuda::whole_head
