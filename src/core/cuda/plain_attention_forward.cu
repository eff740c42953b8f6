// Plain attention, forward: a block keeps a tile of queries and their unfinished outputs, and walks over the
// keys and values up to the diagonal.
#include <limits>

#include "core/cuda/attention.h"
#include "core/cuda/plain_attention_tiles.h"

namespace cola::cuda {

namespace {

using namespace plain;

// The softmax of a thread's rows over the keys seen so far, relative to the largest score seen so far.
template <int dim>
struct RunningSoftmax {
  float maximum[thread_rows<dim>], sum[thread_rows<dim>];

  __device__ RunningSoftmax() {
#pragma unroll
    for (int i = 0; i < thread_rows<dim>; ++i) {
      maximum[i] = -std::numeric_limits<float>::infinity();
      sum[i] = 0;
    }
  }

  // Turns scores into weights exp(score - maximum) and brings the sums so far down to the new maximum.
  __device__ void advance(Scores<dim>& scores, Share<dim, dim>& sums) {
#pragma unroll
    for (int i = 0; i < thread_rows<dim>; ++i) {
      const float before = maximum[i];
      for (const float score : scores[i]) maximum[i] = fmaxf(maximum[i], score);
      maximum[i] = group_maximum(maximum[i]);
      const float shrink = __expf(before - maximum[i]);
      float added = 0;
#pragma unroll
      for (float& score : scores[i]) {
        score = __expf(score - maximum[i]);
        added += score;
      }
      sum[i] = fmaf(sum[i], shrink, group_sum(added));
#pragma unroll
      for (float& output : sums[i]) output *= shrink;
    }
  }
};

template <int dim>
constexpr std::size_t shared_bytes = sizeof(float) * (3 * RowTile<dim>::elements + WeightTile<dim>::elements);

template <typename T, int dim>
__global__ void plain_forward_kernel(AttentionShape shape, const T* q, const T* k, const T* v, T* out,
                                     float* log_sum_exp) {
  constexpr int step = tile_rows<dim>;
  const BlockPlace place;
  const int head_dim = static_cast<int>(shape.head_dim), kv_head = key_head_of(place.head, shape);
  const int tile = place.tiles - 1 - place.tile;  // the last queries meet the most keys: they go first
  const int first_query = tile * step;

  auto* const shared = reinterpret_cast<float*>(dynamic_shared_memory());
  const RowTile<dim> queries{shared}, keys{queries.memory + queries.elements},
      values{keys.memory + keys.elements};
  const WeightTile<dim> weights{values.memory + values.elements};
  queries.load(head_rows(q, shape, shape.heads, place.sample, place.head), first_query, head_dim);

  const float scale = rsqrtf(static_cast<float>(head_dim));
  RunningSoftmax<dim> softmax;
  Share<dim, dim> sums = {};
  for (int turn = 0; turn <= tile; ++turn) {
    __syncthreads();
    keys.load(head_rows(k, shape, shape.kv_heads, place.sample, kv_head), turn * step, head_dim);
    values.load(head_rows(v, shape, shape.kv_heads, place.sample, kv_head), turn * step, head_dim);
    __syncthreads();
    Scores<dim> scores;
    multiply_rows<dim>(scores, queries, keys);
#pragma unroll
    for (int i = 0; i < thread_rows<dim>; ++i)
#pragma unroll
      for (int j = 0; j < step / group_threads; ++j)
        scores[i][j] = turn * step + share_column(j) > first_query + share_row<dim>(i)
                           ? -std::numeric_limits<float>::infinity()
                           : scores[i][j] * scale;
    softmax.advance(scores, sums);
    add_weighted_rows<dim>(sums, scores, weights, values);
  }

#pragma unroll
  for (int i = 0; i < thread_rows<dim>; ++i) {
    const int query = first_query + share_row<dim>(i);
    for (float& output : sums[i]) output /= softmax.sum[i];
    if (threadIdx.x % group_threads == 0 && query < shape.sequence)
      head_values(log_sum_exp, shape, place.sample, place.head)[query] =
          softmax.maximum[i] + logf(softmax.sum[i]);
  }
  store_rows<dim>(sums, head_rows(out, shape, shape.heads, place.sample, place.head), first_query, head_dim);
}

}  // namespace

void PlainAttention::forward(const AttentionShape& shape, const AttentionInputs& in,
                             const AttentionOutputs& to) const {
  if (to.out.elements() == 0) return;
  dispatch_head(in.q.type(), shape.head_dim, [&]<typename T, int dim>() {
    launch("attention", plain_forward_kernel<T, dim>,
           {grid_of(shape, tile_rows<dim>, shape.heads), dim3(block_threads), shared_bytes<dim>},
           context_.stream, shape, data<T>(in.q), data<T>(in.k), data<T>(in.v), data<T>(to.out),
           data<float>(to.log_sum_exp));
  });
}

}  // namespace cola::cuda
