// RunningSoftmax: the softmax of flash attention's forward passes, over keys that come a tile at a time.
#pragma once

#include "core/cuda/attention_fragments.h"

namespace cola::cuda::flash {

/// The softmax of a lane's two rows over the keys seen so far, relative to the largest score seen so far.
struct RunningSoftmax {
  float maximum[2] = {-infinity, -infinity};
  float sum[2] = {};  // over this lane's columns alone

  /// Turns scores into weights exp(scale * (score - maximum)) and brings the sums so far down to the new
  /// maximum.
  template <int head_dim, int tiles>
  __device__ void advance(float (&scores)[tiles][4], Fragments<head_dim>& sums) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const float before = maximum[row];
      for (const auto& score : scores)
        maximum[row] = fmaxf(maximum[row], fmaxf(score[2 * row], score[2 * row + 1]));
      maximum[row] = row_maximum(maximum[row]);
      const float shift = maximum[row] * base_2_scale<head_dim>;
      const float shrink = fast_exp2(fmaf(before, base_2_scale<head_dim>, -shift));
      sum[row] *= shrink;
#pragma unroll
      for (auto& output : sums) {
        output[2 * row] *= shrink;
        output[2 * row + 1] *= shrink;
      }
#pragma unroll
      for (auto& score : scores)
#pragma unroll
        for (int e = 2 * row; e < 2 * row + 2; ++e) {
          score[e] = fast_exp2(fmaf(score[e], base_2_scale<head_dim>, -shift));
          sum[row] += score[e];
        }
    }
  }

  /// After the last keys: what the sums are to be multiplied by, and log_sum_exp of the rows, which are
  /// queries `first_query` and following of a sequence.
  template <int head_dim>
  __device__ void finish(float (&factors)[2], float* log_sum_exp, int first_query, int sequence) const {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const float whole_sum = row_sum(sum[row]);
      const int query = first_query + fragment_row(2 * row);
      factors[row] = __fdividef(1.0f, whole_sum);
      if (threadIdx.x % 4 == 0 && query < sequence)
        log_sum_exp[query] = fmaf(maximum[row], scale<head_dim>, __logf(whole_sum));
    }
  }
};

}  // namespace cola::cuda::flash
