// Flash attention, backward (Dao, "FlashAttention-2", 2023, algorithm 2), in two passes instead of one that
// adds into dq from many blocks: sums are taken in a fixed order, at the price of computing the weights
// twice. With weights p = exp(scale * q·k - log_sum_exp) and delta = dout·out of each query,
//   ds = p * (dout·v - delta),  dq = scale * sum over keys of ds k,
//   dv = sum over queries of p dout,  dk = scale * sum over queries of ds q.
// dq and dk are rotated back in registers, before they are rounded and written.
#include <algorithm>

#include "core/cuda/attention.h"
#include "core/cuda/flash_attention_tiles.h"
#include "core/cuda/launch.h"
#include "core/cuda/pack.h"
#include "core/cuda/type_dispatch.h"

namespace cola::cuda {

namespace {

using namespace flash;

// Writes delta of the warp's 16 queries to `deltas` and to memory, 16 bytes of a row a lane. Rows beyond the
// sequence get the last row's: all loads can start at once.
template <int head_dim>
__device__ void compute_deltas(const HeadRows<const __nv_bfloat16>& out,
                               const HeadRows<const __nv_bfloat16>& dout, int first_query, float* deltas,
                               float* kept) {
  constexpr int width = full_width<__nv_bfloat16>, lanes = head_dim / width;  // lanes that share a row
  constexpr int rows_at_once = warp_size / lanes;
  const int lane = static_cast<int>(threadIdx.x) % warp_size, column = lane % lanes * width;
  const int row = first_row_of_warp() + lane / lanes;
  float delta[warp_rows / rows_at_once] = {};
#pragma unroll
  for (int i = 0; i < warp_rows / rows_at_once; ++i) {
    const int query = min(first_query + row + i * rows_at_once, out.count - 1);
    const auto a = Pack<__nv_bfloat16, width>::load(out.row(query) + column);
    const auto b = Pack<__nv_bfloat16, width>::load(dout.row(query) + column);
#pragma unroll
    for (int e = 0; e < width; ++e) delta[i] = fmaf(a.values[e], b.values[e], delta[i]);
  }
#pragma unroll
  for (int i = 0; i < warp_rows / rows_at_once; ++i) {
    const int tile_row = row + i * rows_at_once;
#pragma unroll
    for (int distance = lanes / 2; distance > 0; distance /= 2)
      delta[i] += __shfl_xor_sync(0xffffffffu, delta[i], distance);
    if (lane % lanes == 0) {
      deltas[tile_row] = delta[i];
      if (first_query + tile_row < out.count) kept[first_query + tile_row] = delta[i];
    }
  }
}

// The angles of a block's own rows. They are wanted at the very end, when nothing is left to do while they
// come: shared memory takes them at the beginning. For heads of 128 that would cost a block a multiprocessor.
template <int head_dim>
struct RowAngles {
  static constexpr bool in_shared_memory = head_dim == 64;
  static constexpr int half = head_dim / 2, stride = half + 4;  // so that rows begin in different banks
  static constexpr int elements = in_shared_memory ? 2 * own_rows * stride : 0;

  float* memory;
  const float *cosines, *sines;  // of all positions
  int first_row, sequence;

  // Rows beyond the sequence take the last position's angles.
  __device__ int position(int row) const { return min(first_row + row, sequence - 1); }

  __device__ void start_load() const {
    if constexpr (in_shared_memory) {
      constexpr int chunk = 4, chunks = half / chunk;  // floats in 16 bytes, and those in a row
      for (int i = static_cast<int>(threadIdx.x); i < own_rows * chunks; i += block_threads) {
        const int row = i / chunks, column = i % chunks * chunk, from = position(row) * half + column;
        start_copy_to_shared(memory + row * stride + column, cosines + from, true);
        start_copy_to_shared(memory + (own_rows + row) * stride + column, sines + from, true);
      }
    }
  }
  // Two neighbours of a row.
  __device__ Pack<float, 2> load(const float* table, int part, int row, int column) const {
    if constexpr (in_shared_memory)
      return Pack<float, 2>::load(memory + (part * own_rows + row) * stride + column);
    else
      return Pack<float, 2>::load(table + position(row) * half + column);
  }

  __device__ void rotate_back(Fragments<head_dim>& rows) const {
    rotate_rows_back<head_dim>(rows, [&](int n, int e) {
      const int row = first_row_of_warp() + fragment_row(e), column = fragment_column(n, e);
      return AnglePair{load(cosines, 0, row, column), load(sines, 1, row, column)};
    });
  }
};

// Shared memory: two own tiles, the walked tiles, the own rows' angles, then what each kernel keeps of single
// queries.
template <int head_dim>
constexpr int tile_elements = 2 * OwnTile<head_dim>::elements + WalkedTiles<head_dim>::elements;
template <int head_dim>
constexpr std::size_t shared_bytes(int query_values) {
  return sizeof(__nv_bfloat16) * tile_elements<head_dim> +
         sizeof(float) * (RowAngles<head_dim>::elements + query_values);
}

// A block keeps 64 queries and walks over keys and values up to the diagonal: dq, and delta for the next
// pass.
template <int head_dim>
__global__ void flash_backward_queries_kernel(AttentionShape shape, BackwardInputs in, float* delta,
                                              __nv_bfloat16* dq) {
  const BlockPlace place;
  const int sequence = static_cast<int>(shape.sequence), kv_head = key_head_of(place.head, shape);
  // The last queries meet the most keys: they go first.
  const int first_query = (place.tiles - 1 - place.tile) * own_rows;
  const int warp_query = first_query + first_row_of_warp();
  const auto own_head = [&]<typename T>(T* tensor) {
    return head_rows(tensor, shape, shape.heads, place.sample, place.head);
  };
  const auto keys = head_rows(in.k, shape, shape.kv_heads, place.sample, kv_head);
  const auto values = head_rows(in.v, shape, shape.kv_heads, place.sample, kv_head);

  auto* const shared = reinterpret_cast<__nv_bfloat16*>(dynamic_shared_memory());
  const OwnTile<head_dim> queries{shared}, douts{shared + OwnTile<head_dim>::elements};
  const WalkedTiles<head_dim> walked{shared + 2 * OwnTile<head_dim>::elements};
  const RowAngles<head_dim> angles{reinterpret_cast<float*>(shared + tile_elements<head_dim>), in.cosines,
                                   in.sines, first_query, sequence};
  float* const deltas = angles.memory + RowAngles<head_dim>::elements;
  queries.start_load(own_head(in.q), first_query);
  douts.start_load(own_head(in.dout), first_query);
  angles.start_load();
  walked.start_load(0, keys, values, 0);
  compute_deltas<head_dim>(own_head(in.out), own_head(in.dout), first_query, deltas,
                           head_values(delta, shape, place.sample, place.head));
  __syncwarp();

  constexpr int step = walked_rows<head_dim>;
  float row_delta[2], row_shift[2];
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    const int query = warp_query + fragment_row(2 * row);
    row_delta[row] = deltas[first_row_of_warp() + fragment_row(2 * row)];
    row_shift[row] = query < sequence
                         ? head_values(in.log_sum_exp, shape, place.sample, place.head)[query] * log2_of_e
                         : 0.0f;
  }
  Fragments<head_dim> sums = {};
  const int turns = (min(first_query + own_rows, sequence) + step - 1) / step;
  for (int turn = 0; turn < turns; ++turn) {
    wait_for_turn();
    if (turn + 1 < turns) walked.start_load(turn + 1, keys, values, (turn + 1) * step);
    if (step < own_rows && turn * step >= warp_query + warp_rows) continue;  // only later keys
    Fragments<step> weights = {}, d_weights = {};
    multiply_rows<head_dim>(weights, queries, walked.first(turn));
    multiply_rows<head_dim>(d_weights, douts, walked.second(turn));
    if ((turn + 1) * step > warp_query + 1) hide_later_keys(weights, warp_query, turn * step);
#pragma unroll
    for (int n = 0; n < step / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        weights[n][e] = fast_exp2(fmaf(weights[n][e], base_2_scale<head_dim>, -row_shift[e / 2])) *
                        (d_weights[n][e] - row_delta[e / 2]);
    add_weighted_rows<head_dim>(sums, weights, walked.first(turn));
  }
  angles.rotate_back(sums);
  queries.store_warp_rows(sums, {scale<head_dim>, scale<head_dim>}, own_head(dq), first_query);
}

// A tile of queries of one of the heads that read the block's keys.
struct QueryTile {
  int head, first_query;
};

// What the softmaxes of a tile of queries left, for two turns: first shifts (log_sum_exp to base 2), then
// deltas. Each value goes through a register of one thread, and is stored when the turn before has been
// worked on.
template <int step>
struct QueryValues {
  static constexpr int elements = 2 * 2 * step;

  float* memory;

  __device__ static float load(const AttentionShape& shape, const float* log_sum_exp, const float* delta,
                               int sample, const QueryTile& tile) {
    const int query = tile.first_query + static_cast<int>(threadIdx.x) % step;
    if (threadIdx.x >= 2 * step || query >= shape.sequence) return 0;
    return threadIdx.x < step ? head_values(log_sum_exp, shape, sample, tile.head)[query] * log2_of_e
                              : head_values(delta, shape, sample, tile.head)[query];
  }
  __device__ void store(int turn, float value) const {
    if (threadIdx.x < 2 * step) memory[turn % 2 * 2 * step + threadIdx.x] = value;
  }
  // Of the two columns of fragment n that this thread holds.
  __device__ float2 shifts(int turn, int n) const {
    return *reinterpret_cast<const float2*>(memory + turn % 2 * 2 * step + fragment_column(n, 0));
  }
  __device__ float2 deltas(int turn, int n) const {
    return *reinterpret_cast<const float2*>(memory + turn % 2 * 2 * step + step + fragment_column(n, 0));
  }
};

// A block keeps 64 keys and values and walks over the queries from the diagonal on, of all heads that read
// them. Everything is transposed: a row of weights belongs to a key.
template <int head_dim>
__global__ void __launch_bounds__(block_threads, head_dim == 64 ? 3 : 2)
    flash_backward_keys_kernel(AttentionShape shape, BackwardInputs in, const float* delta, __nv_bfloat16* dk,
                               __nv_bfloat16* dv) {
  constexpr int step = walked_rows<head_dim>;
  const BlockPlace place;
  const int sequence = static_cast<int>(shape.sequence);
  const int group = static_cast<int>(shape.heads) / static_cast<int>(shape.kv_heads);
  const int first_key = place.tile * own_rows, warp_key = first_key + first_row_of_warp();
  const auto own_head = [&]<typename T>(T* tensor) {
    return head_rows(tensor, shape, shape.kv_heads, place.sample, place.head);
  };

  auto* const shared = reinterpret_cast<__nv_bfloat16*>(dynamic_shared_memory());
  const OwnTile<head_dim> keys{shared}, values{shared + OwnTile<head_dim>::elements};
  const WalkedTiles<head_dim> walked{shared + 2 * OwnTile<head_dim>::elements};
  const RowAngles<head_dim> angles{reinterpret_cast<float*>(shared + tile_elements<head_dim>), in.cosines,
                                   in.sines, first_key, sequence};
  const QueryValues<step> query_values{angles.memory + RowAngles<head_dim>::elements};
  const auto start_load = [&](int turn, const QueryTile& tile) {
    walked.start_load(turn, head_rows(in.q, shape, shape.heads, place.sample, tile.head),
                      head_rows(in.dout, shape, shape.heads, place.sample, tile.head), tile.first_query);
    return QueryValues<step>::load(shape, in.log_sum_exp, delta, place.sample, tile);
  };
  keys.start_load(own_head(in.k), first_key);
  values.start_load(own_head(in.v), first_key);
  angles.start_load();
  QueryTile next{place.head * group, first_key};
  query_values.store(0, start_load(0, next));

  Fragments<head_dim> key_sums = {}, value_sums = {};
  bool last = false;
  for (int turn = 0; !last; ++turn) {
    wait_for_turn();
    const int first_query = next.first_query;
    next.first_query += step;
    if (next.first_query >= sequence) next = {next.head + 1, first_key};
    last = next.head == (place.head + 1) * group;
    const float arriving = last ? 0.0f : start_load(turn + 1, next);
    if (first_query + step > warp_key) {  // else every query comes before this warp's keys
      Fragments<step> weights = {}, gradients = {};
      multiply_rows<head_dim>(weights, keys, walked.first(turn));
      if (first_query < warp_key + warp_rows - 1) hide_earlier_queries(weights, warp_key, first_query);
      take_softmax<head_dim>(weights, [&](int n) { return query_values.shifts(turn, n); });
      add_weighted_rows<head_dim>(value_sums, weights, walked.second(turn));
      multiply_rows<head_dim>(gradients, values, walked.second(turn));
      take_softmax_backward(gradients, weights, [&](int n) { return query_values.deltas(turn, n); });
      add_weighted_rows<head_dim>(key_sums, gradients, walked.first(turn));
    }
    if (!last) query_values.store(turn + 1, arriving);
  }
  angles.rotate_back(key_sums);
  keys.store_warp_rows(key_sums, {scale<head_dim>, scale<head_dim>}, own_head(dk), first_key);
  values.store_warp_rows(value_sums, {1.0f, 1.0f}, own_head(dv), first_key);
}

template <int head_dim>
void flash_backward(const AttentionShape& shape, const Context& context, const BackwardInputs& in,
                    const AttentionGradients& to) {
  using T = __nv_bfloat16;
  auto* const delta = static_cast<float*>(context.scratch);  // [batch, heads, sequence]
  launch("flash attention's gradient of the queries", flash_backward_queries_kernel<head_dim>,
         {grid_of(shape, own_rows, shape.heads), dim3(block_threads), shared_bytes<head_dim>(own_rows)},
         context.stream, shape, in, delta, data<T>(to.dq));
  launch("flash attention's gradient of the keys", flash_backward_keys_kernel<head_dim>,
         {grid_of(shape, own_rows, shape.kv_heads), dim3(block_threads),
          shared_bytes<head_dim>(QueryValues<walked_rows<head_dim>>::elements)},
         context.stream, shape, in, delta, data<T>(to.dk), data<T>(to.dv));
}

}  // namespace

void FlashAttention::backward(const AttentionShape& shape, const AttentionInputs& in,
                              const AttentionOutputs& kept, const Tensor& dout, const RotationTables& tables,
                              const AttentionGradients& to) const {
  if (to.dq.elements() == 0) return;
  const auto backward = shape.head_dim == 64 ? flash_backward<64> : flash_backward<128>;
  // The scratch memory holds a number for each row of a head: a very large batch is taken in parts.
  const std::int64_t most = most_row_values / (shape.heads * shape.sequence);
  for (std::int64_t first = 0; first < shape.batch; first += most) {
    AttentionShape part = shape;
    part.batch = std::min(most, shape.batch - first);
    const auto of = [&](const Tensor& tensor) {
      const std::int64_t rows = tensor.dim(0) / shape.batch;
      return tensor.rows(first * rows, (first + part.batch) * rows);
    };
    const AttentionInputs part_in{of(in.q), of(in.k), of(in.v)};
    const AttentionOutputs part_kept{of(kept.out), of(kept.log_sum_exp)};
    backward(part, context_, backward_inputs(part_in, part_kept, of(dout), tables),
             {of(to.dq), of(to.dk), of(to.dv)});
  }
}

}  // namespace cola::cuda
