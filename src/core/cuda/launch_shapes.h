// Shapes of launches that element-wise kernels share, a pack of `width` elements a thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/cuda/block_sum.h"
#include "core/cuda/launch.h"
#include "core/divide_up.h"

namespace cola::cuda {

/// A block a row: a thread a pack, in whole warps, at most `most_threads`. Wider rows are walked over.
inline LaunchShape row_shape(std::int64_t rows, std::int64_t columns, int width, int most_threads = 256) {
  const std::int64_t threads = divide_up(columns, std::int64_t{width} * warp_size) * warp_size;
  return {dim3(static_cast<unsigned>(rows)),
          dim3(static_cast<unsigned>(std::min<std::int64_t>(threads, most_threads)))};
}

constexpr int flat_threads = 256;

/// A thread a pack of a flat array.
inline LaunchShape flat_shape(std::int64_t elements, int width) {
  return {dim3(static_cast<unsigned>(divide_up(elements, std::int64_t{flat_threads} * width))),
          dim3(flat_threads)};
}
/// The first element of this thread's pack.
__device__ inline std::int64_t flat_index(int width) {
  return (blockIdx.x * std::int64_t{flat_threads} + threadIdx.x) * width;
}

}  // namespace cola::cuda
