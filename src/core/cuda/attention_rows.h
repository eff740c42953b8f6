// Where the rows of attention's tensors lie, and which of them a block works on.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/kernels/attention.h"

namespace cola::cuda {

/// The rows of one head of one sequence in a tensor [batch * sequence, heads * head_dim].
template <typename T>
struct HeadRows {
  T* first;
  int stride;  // elements from one row to the next
  int count;   // sequence

  __device__ T* row(int index) const { return first + std::int64_t{index} * stride; }
};

/// A block works on one tile of rows of one head of one sequence. The tiles of a head follow each other, so
/// that blocks which read the same rows run at the same time and find them in the cache.
inline dim3 grid_of(const AttentionShape& shape, std::int64_t tile_rows, std::int64_t heads) {
  return dim3(static_cast<unsigned>((shape.sequence + tile_rows - 1) / tile_rows),
              static_cast<unsigned>(heads), static_cast<unsigned>(shape.batch));
}
struct BlockPlace {
  int tile = static_cast<int>(blockIdx.x), tiles = static_cast<int>(gridDim.x);
  int head = static_cast<int>(blockIdx.y), sample = static_cast<int>(blockIdx.z);
};

/// The key and value head that a query head reads.
__device__ inline int key_head_of(int head, const AttentionShape& shape) {
  return head / (static_cast<int>(shape.heads) / static_cast<int>(shape.kv_heads));
}

/// Head `head` of `heads` of sequence `sample`.
template <typename T>
__device__ HeadRows<T> head_rows(T* tensor, const AttentionShape& shape, std::int64_t heads,
                                 std::int64_t sample, std::int64_t head) {
  return {tensor + (sample * shape.sequence * heads + head) * shape.head_dim,
          static_cast<int>(heads * shape.head_dim), static_cast<int>(shape.sequence)};
}

/// The values of a query head's rows in a tensor [batch, heads, sequence].
template <typename T>
__device__ T* head_values(T* tensor, const AttentionShape& shape, std::int64_t sample, std::int64_t head) {
  return tensor + (sample * shape.heads + head) * shape.sequence;
}

}  // namespace cola::cuda
