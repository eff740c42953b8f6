// What the attention kernels on tensor cores keep in registers, and do to it.
//
// A warp holds 16 rows (queries, or keys for their gradients) of what it computes as fragments: tiles [16, 8]
// laid out as multiply_tiles leaves them, side by side. Fragments of scores are in the place where the next
// product needs its left operand, so they never visit shared memory.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>
#include <cstring>
#include <limits>

#include "core/cuda/block_sum.h"
#include "core/cuda/fast_math.h"
#include "core/cuda/pack.h"
#include "core/cuda/type_dispatch.h"
#include "core/kernels/attention.h"

namespace cola::cuda::flash {

constexpr float infinity = std::numeric_limits<float>::infinity();
/// What scores are multiplied by: 1 / sqrt(head_dim), for head_dim 64 and 128; and the same for exponentials
/// to base 2.
template <int head_dim>
constexpr float scale = head_dim == 64 ? 0.125f : 0.08838834764831845f;
template <int head_dim>
constexpr float base_2_scale = scale<head_dim>* log2_of_e;

constexpr int warp_rows = 16;

/// What backward passes read: the forward pass's inputs and results, and the angles of queries and keys.
struct BackwardInputs {
  const __nv_bfloat16 *q, *k, *v, *out, *dout;
  const float *log_sum_exp, *cosines, *sines;
};
inline BackwardInputs backward_inputs(const AttentionInputs& in, const AttentionOutputs& kept,
                                      const Tensor& dout, const RotationTables& tables) {
  using T = __nv_bfloat16;
  return {data<T>(in.q),
          data<T>(in.k),
          data<T>(in.v),
          data<T>(kept.out),
          data<T>(dout),
          data<float>(kept.log_sum_exp),
          data<float>(tables.cosines),
          data<float>(tables.sines)};
}

/// Fragments of [16, columns] in one warp.
template <int columns>
using Fragments = float[columns / 8][4];

/// The row within a warp's 16 and the column within [16, columns] of element `e` of fragment `n`.
__device__ inline int fragment_row(int e) {
  return static_cast<int>(threadIdx.x) % warp_size / 4 + e / 2 * 8;
}
__device__ inline int fragment_column(int n, int e) {
  return n * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + e % 2;
}

/// Over the four lanes that hold a row of fragments; the result is in all of them.
__device__ inline float row_maximum(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}
__device__ inline float row_sum(float value) {
  value += __shfl_xor_sync(0xffffffffu, value, 1);
  return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

/// Minus infinity where a key comes after its query, in scores [queries, keys] that begin at these.
template <int columns>
__device__ void hide_later_keys(float (&scores)[columns][4], int first_query, int first_key) {
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int last_key = first_query + fragment_row(e) - first_key - fragment_column(0, e);
#pragma unroll
    for (int n = 0; n < columns; ++n)
      if (n * 8 > last_key) scores[n][e] = -infinity;
  }
}
/// The same in scores [keys, queries].
template <int columns>
__device__ void hide_earlier_queries(float (&scores)[columns][4], int first_key, int first_query) {
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int least_query = first_key + fragment_row(e) - first_query - fragment_column(0, e);
#pragma unroll
    for (int n = 0; n < columns; ++n)
      if (n * 8 < least_query) scores[n][e] = -infinity;
  }
}

/// From scores [keys, queries] to weights; `shifts(n)` are log_sum_exp, to base 2, of the two queries whose
/// columns of tile n this thread holds.
template <int head_dim, int tiles, typename Shifts>
__device__ void take_softmax(float (&scores)[tiles][4], const Shifts& shifts) {
#pragma unroll
  for (int n = 0; n < tiles; ++n) {
    const float2 shift = shifts(n);
#pragma unroll
    for (int e = 0; e < 4; ++e)
      scores[n][e] = fast_exp2(fmaf(scores[n][e], base_2_scale<head_dim>, -(e % 2 == 0 ? shift.x : shift.y)));
  }
}

/// From the weights' gradients dout·v to the scores'; `deltas(n)` likewise.
template <int tiles, typename Deltas>
__device__ void take_softmax_backward(float (&gradients)[tiles][4], const float (&weights)[tiles][4],
                                      const Deltas& deltas) {
#pragma unroll
  for (int n = 0; n < tiles; ++n) {
    const float2 delta = deltas(n);
#pragma unroll
    for (int e = 0; e < 4; ++e)
      gradients[n][e] = weights[n][e] * (gradients[n][e] - (e % 2 == 0 ? delta.x : delta.y));
  }
}

/// The angles of two neighbouring pairs of elements.
struct AnglePair {
  Pack<float, 2> cosine, sine;
};

/// Rotates a warp's 16 rows, gradients of rotated queries or keys, back. `angles(n, e)` are those of
/// elements e and e + 1 of fragment n of the lower half of head_dim. The two elements of a pair lie in the
/// same thread.
template <int head_dim, typename Angles>
__device__ void rotate_rows_back(Fragments<head_dim>& rows, const Angles& angles) {
  constexpr int half_tiles = head_dim / 2 / 8;
#pragma unroll
  for (int e = 0; e < 4; e += 2)
#pragma unroll
    for (int n = 0; n < half_tiles; ++n) {
      const AnglePair pair = angles(n, e);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float &low = rows[n][e + i], &high = rows[n + half_tiles][e + i];
        const float a = low, b = high;
        low = a * pair.cosine.values[i] + b * pair.sine.values[i];
        high = b * pair.cosine.values[i] - a * pair.sine.values[i];
      }
    }
}

__device__ inline std::uint32_t bf16_pair(float first, float second) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  std::uint32_t bits;
  memcpy(&bits, &pair, sizeof(bits));
  return bits;
}

}  // namespace cola::cuda::flash
