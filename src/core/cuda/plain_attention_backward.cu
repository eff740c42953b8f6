// Plain attention, backward: two passes, one for the queries and one for keys and values, as in
// flash_attention_backward.cu, where the formulas are.
#include "core/cuda/attention.h"
#include "core/cuda/kernels.h"
#include "core/cuda/plain_attention_tiles.h"

namespace cola::cuda {

namespace {

using namespace plain;

template <typename T>
struct Inputs {
  const T *q, *k, *v, *out, *dout;
  const float* log_sum_exp;
};

// log_sum_exp and delta = dout·out of a tile of queries in shared memory, zero beyond the sequence.
template <int dim>
struct QueryValues {
  static constexpr int elements = 2 * tile_rows<dim>;

  float* memory;

  __device__ float& log_sum_exp(int row) const { return memory[row]; }
  __device__ float& delta(int row) const { return memory[tile_rows<dim> + row]; }

  // A group of threads loads the rows that are its own if these queries are the own tile.
  template <typename T>
  __device__ void load(const AttentionShape& shape, const Inputs<T>& in, int sample, int head,
                       int first_query) const {
    const auto out = head_rows(in.out, shape, shape.heads, sample, head);
    const auto dout = head_rows(in.dout, shape, shape.heads, sample, head);
#pragma unroll
    for (int i = 0; i < thread_rows<dim>; ++i) {
      const int row = share_row<dim>(i), query = first_query + row;
      float sum = 0;
      if (query < out.count)
        for (int column = share_column(0); column < shape.head_dim; column += group_threads)
          sum = fmaf(to_float(out.row(query)[column]), to_float(dout.row(query)[column]), sum);
      sum = group_sum(sum);
      if (threadIdx.x % group_threads == 0) {
        delta(row) = sum;
        log_sum_exp(row) = query < out.count ? head_values(in.log_sum_exp, shape, sample, head)[query] : 0.0f;
      }
    }
  }
};

// Shared memory of both passes.
template <int dim>
struct Tiles {
  RowTile<dim> own[2], walked[2];
  WeightTile<dim> weights;
  QueryValues<dim> query_values;

  static constexpr std::size_t bytes =
      sizeof(float) * (4 * RowTile<dim>::elements + WeightTile<dim>::elements + QueryValues<dim>::elements);

  __device__ explicit Tiles(float* memory)
      : own{{memory}, {memory + RowTile<dim>::elements}},
        walked{{memory + 2 * RowTile<dim>::elements}, {memory + 3 * RowTile<dim>::elements}},
        weights{memory + 4 * RowTile<dim>::elements},
        query_values{weights.memory + WeightTile<dim>::elements} {}
};

template <typename T, int dim>
__global__ void plain_backward_queries_kernel(AttentionShape shape, Inputs<T> in, T* dq) {
  constexpr int step = tile_rows<dim>;
  const BlockPlace place;
  const int head_dim = static_cast<int>(shape.head_dim), kv_head = key_head_of(place.head, shape);
  const int tile = place.tiles - 1 - place.tile;  // the last queries meet the most keys: they go first
  const int first_query = tile * step;
  const Tiles<dim> tiles(reinterpret_cast<float*>(dynamic_shared_memory()));
  const auto& [queries, douts] = tiles.own;
  const auto& [keys, values] = tiles.walked;
  queries.load(head_rows(in.q, shape, shape.heads, place.sample, place.head), first_query, head_dim);
  douts.load(head_rows(in.dout, shape, shape.heads, place.sample, place.head), first_query, head_dim);
  tiles.query_values.load(shape, in, place.sample, place.head, first_query);

  const float scale = rsqrtf(static_cast<float>(head_dim));
  Share<dim, dim> sums = {};
  for (int turn = 0; turn <= tile; ++turn) {
    __syncthreads();
    keys.load(head_rows(in.k, shape, shape.kv_heads, place.sample, kv_head), turn * step, head_dim);
    values.load(head_rows(in.v, shape, shape.kv_heads, place.sample, kv_head), turn * step, head_dim);
    __syncthreads();
    Scores<dim> scores, d_weights;
    multiply_rows<dim>(scores, queries, keys);
    multiply_rows<dim>(d_weights, douts, values);
#pragma unroll
    for (int i = 0; i < thread_rows<dim>; ++i) {
      const int row = share_row<dim>(i);
      const float shift = tiles.query_values.log_sum_exp(row), delta = tiles.query_values.delta(row);
#pragma unroll
      for (int j = 0; j < step / group_threads; ++j) {
        const bool later = turn * step + share_column(j) > first_query + row;
        const float weight = later ? 0.0f : __expf(scores[i][j] * scale - shift);
        scores[i][j] = weight * (d_weights[i][j] - delta) * scale;
      }
    }
    add_weighted_rows<dim>(sums, scores, tiles.weights, keys);
  }
  store_rows<dim>(sums, head_rows(dq, shape, shape.heads, place.sample, place.head), first_query, head_dim);
}

// Transposed: a row of weights belongs to a key, a column to a query.
template <typename T, int dim>
__global__ void plain_backward_keys_kernel(AttentionShape shape, Inputs<T> in, T* dk, T* dv) {
  constexpr int step = tile_rows<dim>;
  const BlockPlace place;
  const int head_dim = static_cast<int>(shape.head_dim);
  const int group = static_cast<int>(shape.heads) / static_cast<int>(shape.kv_heads);
  const int first_key = place.tile * step;
  const Tiles<dim> tiles(reinterpret_cast<float*>(dynamic_shared_memory()));
  const auto& [keys, values] = tiles.own;
  const auto& [queries, douts] = tiles.walked;
  keys.load(head_rows(in.k, shape, shape.kv_heads, place.sample, place.head), first_key, head_dim);
  values.load(head_rows(in.v, shape, shape.kv_heads, place.sample, place.head), first_key, head_dim);

  const float scale = rsqrtf(static_cast<float>(head_dim));
  Share<dim, dim> key_sums = {}, value_sums = {};
  for (int head = place.head * group; head < (place.head + 1) * group; ++head)
    for (int first_query = first_key; first_query < shape.sequence; first_query += step) {
      __syncthreads();
      queries.load(head_rows(in.q, shape, shape.heads, place.sample, head), first_query, head_dim);
      douts.load(head_rows(in.dout, shape, shape.heads, place.sample, head), first_query, head_dim);
      tiles.query_values.load(shape, in, place.sample, head, first_query);
      __syncthreads();
      Scores<dim> weights, d_scores;
      multiply_rows<dim>(weights, keys, queries);
      multiply_rows<dim>(d_scores, values, douts);
#pragma unroll
      for (int j = 0; j < step / group_threads; ++j) {
        const int column = share_column(j);
        const float shift = tiles.query_values.log_sum_exp(column), delta = tiles.query_values.delta(column);
#pragma unroll
        for (int i = 0; i < thread_rows<dim>; ++i) {
          const bool earlier = first_query + column < first_key + share_row<dim>(i);
          weights[i][j] = earlier ? 0.0f : __expf(weights[i][j] * scale - shift);
          d_scores[i][j] = weights[i][j] * (d_scores[i][j] - delta) * scale;
        }
      }
      add_weighted_rows<dim>(value_sums, weights, tiles.weights, douts);
      add_weighted_rows<dim>(key_sums, d_scores, tiles.weights, queries);
    }
  store_rows<dim>(key_sums, head_rows(dk, shape, shape.kv_heads, place.sample, place.head), first_key,
                  head_dim);
  store_rows<dim>(value_sums, head_rows(dv, shape, shape.kv_heads, place.sample, place.head), first_key,
                  head_dim);
}

}  // namespace

void PlainAttention::backward(const AttentionShape& shape, const AttentionInputs& in,
                              const AttentionOutputs& kept, const Tensor& dout, const RotationTables& tables,
                              const AttentionGradients& to) const {
  if (to.dq.elements() == 0) return;
  dispatch_head(in.q.type(), shape.head_dim, [&]<typename T, int dim>() {
    const Inputs<T> inputs{data<T>(in.q),     data<T>(in.k), data<T>(in.v),
                           data<T>(kept.out), data<T>(dout), data<float>(kept.log_sum_exp)};
    launch("attention's gradient of the queries", plain_backward_queries_kernel<T, dim>,
           {grid_of(shape, tile_rows<dim>, shape.heads), dim3(block_threads), Tiles<dim>::bytes},
           context_.stream, shape, inputs, data<T>(to.dq));
    launch("attention's gradient of the keys", plain_backward_keys_kernel<T, dim>,
           {grid_of(shape, tile_rows<dim>, shape.kv_heads), dim3(block_threads), Tiles<dim>::bytes},
           context_.stream, shape, inputs, data<T>(to.dk), data<T>(to.dv));
  });
  rotate_back(CudaRope(context_), shape, tables, to);
}

}  // namespace cola::cuda
