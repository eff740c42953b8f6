// What the plain attention kernels share: tiles of rows in shared memory as fp32, and their products in
// ordinary arithmetic. The scheme is flash attention's (flash_attention_tiles.h): a block owns a tile of rows
// and walks over those that they meet.
//
// A block's 128 threads are 8 groups of 16. A group has tile_rows / 8 rows of the own tile to itself; in
// every product with [tile_rows, columns] its thread t computes columns t, t + 16, ... of these rows.
#pragma once

#include <cstdint>

#include "core/cuda/attention_rows.h"
#include "core/cuda/launch.h"
#include "core/cuda/pack.h"
#include "core/cuda/type_dispatch.h"

namespace cola::cuda::plain {

constexpr int block_threads = 128, group_threads = 16, groups = block_threads / group_threads;

/// Kernels are compiled for these head_dim; smaller heads are padded with zeros in shared memory.
template <int dim>
constexpr int tile_rows = dim > 128 ? 16 : 32;
template <int dim>
constexpr int thread_rows = tile_rows<dim> / groups;

/// A thread's share of a product with [tile_rows, columns].
template <int dim, int columns>
using Share = float[thread_rows<dim>][columns / group_threads];

/// The row in the own tile, and the column, of element (i, j) of a thread's share.
template <int dim>
__device__ int share_row(int i) {
  return static_cast<int>(threadIdx.x) / group_threads * thread_rows<dim> + i;
}
__device__ inline int share_column(int j) {
  return static_cast<int>(threadIdx.x) % group_threads + j * group_threads;
}

/// Over the threads of a group; the result is in all of them.
__device__ inline float group_sum(float value) {
#pragma unroll
  for (int distance = group_threads / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}
__device__ inline float group_maximum(float value) {
#pragma unroll
  for (int distance = group_threads / 2; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
  return value;
}

/// [tile_rows, columns] in shared memory. Four columns are read at a time; the four unused ones after each
/// row keep neighbouring rows out of each other's banks.
template <int dim, int columns>
struct Tile {
  static constexpr int stride = columns + 4;
  static constexpr int elements = tile_rows<dim> * stride;

  float* memory;

  __device__ float& at(int row, int column) const { return memory[row * stride + column]; }
  __device__ float4 four_at(int row, int column) const {
    return *reinterpret_cast<const float4*>(&at(row, column));
  }

  /// Rows `first_row` and following, zeros beyond the sequence and beyond head_dim, a multiple of 4.
  template <typename T>
  __device__ void load(const HeadRows<const T>& from, int first_row, int head_dim) const {
    using Four = Pack<T, 4>;
    for (int i = static_cast<int>(threadIdx.x) * 4; i < tile_rows<dim> * columns; i += block_threads * 4) {
      const int row = i / columns, column = i % columns;
      Four four = {};
      if (first_row + row < from.count && column < head_dim)
        four = Four::load(from.row(first_row + row) + column);
      *reinterpret_cast<float4*>(&at(row, column)) = {four.values[0], four.values[1], four.values[2],
                                                      four.values[3]};
    }
  }
};

template <int dim>
using RowTile = Tile<dim, dim>;
template <int dim>
using WeightTile = Tile<dim, tile_rows<dim>>;
template <int dim>
using Scores = Share<dim, tile_rows<dim>>;

__device__ inline float dot(float4 a, float4 b, float sum) {
  return fmaf(a.x, b.x, fmaf(a.y, b.y, fmaf(a.z, b.z, fmaf(a.w, b.w, sum))));
}

/// scores = own rows · walked rows, transposed.
template <int dim>
__device__ void multiply_rows(Scores<dim>& scores, const RowTile<dim>& own, const RowTile<dim>& walked) {
  constexpr int rows = thread_rows<dim>, columns = tile_rows<dim> / group_threads;
#pragma unroll
  for (int i = 0; i < rows; ++i)
#pragma unroll
    for (int j = 0; j < columns; ++j) scores[i][j] = 0;
#pragma unroll 4
  for (int k = 0; k < dim; k += 4) {
    float4 right[columns];
#pragma unroll
    for (int j = 0; j < columns; ++j) right[j] = walked.four_at(share_column(j), k);
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      const float4 left = own.four_at(share_row<dim>(i), k);
#pragma unroll
      for (int j = 0; j < columns; ++j) scores[i][j] = dot(left, right[j], scores[i][j]);
    }
  }
}

/// sums += weights · walked rows. `tile` carries the weights from thread to thread of a group.
template <int dim>
__device__ void add_weighted_rows(Share<dim, dim>& sums, const Scores<dim>& weights,
                                  const WeightTile<dim>& tile, const RowTile<dim>& walked) {
  constexpr int rows = thread_rows<dim>;
  __syncwarp();  // the group has read what the tile held
#pragma unroll
  for (int i = 0; i < rows; ++i)
#pragma unroll
    for (int j = 0; j < tile_rows<dim> / group_threads; ++j)
      tile.at(share_row<dim>(i), share_column(j)) = weights[i][j];
  __syncwarp();
#pragma unroll 2
  for (int k = 0; k < tile_rows<dim>; k += 4) {
    float4 left[rows];
#pragma unroll
    for (int i = 0; i < rows; ++i) left[i] = tile.four_at(share_row<dim>(i), k);
#pragma unroll
    for (int j = 0; j < dim / group_threads; ++j) {
      const int column = share_column(j);
      const float4 right = {walked.at(k, column), walked.at(k + 1, column), walked.at(k + 2, column),
                            walked.at(k + 3, column)};
#pragma unroll
      for (int i = 0; i < rows; ++i) sums[i][j] = dot(left[i], right, sums[i][j]);
    }
  }
}

/// Writes the block's rows to rows `first_row` and following, except those beyond the sequence.
template <int dim, typename T>
__device__ void store_rows(const Share<dim, dim>& sums, const HeadRows<T>& to, int first_row, int head_dim) {
#pragma unroll
  for (int i = 0; i < thread_rows<dim>; ++i) {
    const int row = first_row + share_row<dim>(i);
    if (row >= to.count) continue;
#pragma unroll
    for (int j = 0; j < dim / group_threads; ++j)
      if (share_column(j) < head_dim) to.row(row)[share_column(j)] = from_float<T>(sums[i][j]);
  }
}

/// Calls body.operator()<T, dim>() for the type and the padded head_dim. Throws DeviceError if there is none.
template <typename Body>
void dispatch_head(DataType type, std::int64_t head_dim, Body&& body) {
  const auto with_type = [&]<typename T>() {
    if (head_dim <= 32) return body.template operator()<T, 32>();
    if (head_dim <= 64) return body.template operator()<T, 64>();
    if (head_dim <= 128) return body.template operator()<T, 128>();
    return body.template operator()<T, 256>();
  };
  if (head_dim > 256 || head_dim % 4 != 0)
    check(cudaErrorInvalidValue, "attention with a head_dim that is no multiple of 4 up to 256");
  type == DataType::float32 ? with_type.template operator()<float>()
                            : with_type.template operator()<__nv_bfloat16>();
}

}  // namespace cola::cuda::plain
