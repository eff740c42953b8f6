// Sums and maxima over the threads of a warp and of a block, in a fixed order.
#pragma once

#include <cuda_runtime.h>

#include <limits>

namespace cola::cuda {

constexpr int warp_size = 32;

/// Which thread of its warp this is, and which warp of its block.
__device__ inline int lane_index() {
  return static_cast<int>(threadIdx.x) % warp_size;
}
__device__ inline int warp_index() {
  return static_cast<int>(threadIdx.x) / warp_size;
}

struct Sum {
  template <typename T>
  __device__ static T of(T a, T b) {
    return a + b;
  }
};
struct Maximum {
  __device__ static float of(float a, float b) { return fmaxf(a, b); }
};

/// One value of a warp's 32 lanes, in every lane.
template <typename Combine, typename T>
__device__ inline T combine_warp(T value) {
#pragma unroll
  for (int distance = warp_size / 2; distance > 0; distance /= 2)
    value = Combine::of(value, __shfl_xor_sync(0xffffffffu, value, distance));
  return value;
}

/// One value of all threads of a block of whole warps, in every thread. All threads call it. `neutral`
/// changes nothing it is combined with.
template <typename Combine, typename T>
__device__ inline T combine_block(T value, T neutral) {
  __shared__ T of_warps[warp_size];
  value = combine_warp<Combine>(value);
  if (lane_index() == 0) of_warps[warp_index()] = value;
  __syncthreads();
  const int warps = static_cast<int>(blockDim.x) / warp_size;
  value = combine_warp<Combine>(lane_index() < warps ? of_warps[lane_index()] : neutral);
  __syncthreads();  // of_warps may be written again at once
  return value;
}

template <typename T>
__device__ inline T warp_sum(T value) {
  return combine_warp<Sum>(value);
}
template <typename T>
__device__ inline T block_sum(T value) {
  return combine_block<Sum>(value, T(0));
}
__device__ inline float block_maximum(float value) {
  return combine_block<Maximum>(value, -std::numeric_limits<float>::infinity());
}

}  // namespace cola::cuda
