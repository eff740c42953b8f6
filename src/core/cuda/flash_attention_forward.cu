// Flash attention, forward (Dao, "FlashAttention-2", 2023, algorithm 1): a block keeps 64 queries and their
// unfinished outputs, and walks over the keys and values up to the diagonal.
#include "core/cuda/attention.h"
#include "core/cuda/flash_attention_tiles.h"
#include "core/cuda/launch.h"
#include "core/cuda/running_softmax.h"
#include "core/cuda/type_dispatch.h"

namespace cola::cuda {

namespace {

using namespace flash;

template <int head_dim>
constexpr std::size_t shared_bytes = sizeof(__nv_bfloat16) *
                                     (OwnTile<head_dim>::elements + WalkedTiles<head_dim>::elements);

template <int head_dim>
__global__ void flash_forward_kernel(AttentionShape shape, const __nv_bfloat16* q, const __nv_bfloat16* k,
                                     const __nv_bfloat16* v, __nv_bfloat16* out, float* log_sum_exp) {
  const BlockPlace place;
  const int sequence = static_cast<int>(shape.sequence), kv_head = key_head_of(place.head, shape);
  // The last queries meet the most keys: they go first.
  const int first_query = (place.tiles - 1 - place.tile) * own_rows;
  const int warp_query = first_query + first_row_of_warp();
  const auto keys = head_rows(k, shape, shape.kv_heads, place.sample, kv_head);
  const auto values = head_rows(v, shape, shape.kv_heads, place.sample, kv_head);

  auto* const shared = reinterpret_cast<__nv_bfloat16*>(dynamic_shared_memory());
  const OwnTile<head_dim> queries{shared};
  const WalkedTiles<head_dim> walked{shared + OwnTile<head_dim>::elements};
  queries.start_load(head_rows(q, shape, shape.heads, place.sample, place.head), first_query);
  walked.start_load(0, keys, values, 0);

  constexpr int step = walked_rows<head_dim>;
  RunningSoftmax softmax;
  Fragments<head_dim> sums = {};
  const int turns = (min(first_query + own_rows, sequence) + step - 1) / step;
  for (int turn = 0; turn < turns; ++turn) {
    wait_for_turn();
    if (turn + 1 < turns) walked.start_load(turn + 1, keys, values, (turn + 1) * step);
    if (step < own_rows && turn * step >= warp_query + warp_rows) continue;  // only later keys
    Fragments<step> scores = {};
    multiply_rows<head_dim>(scores, queries, walked.first(turn));
    if ((turn + 1) * step > warp_query + 1) hide_later_keys(scores, warp_query, turn * step);
    softmax.advance<head_dim>(scores, sums);
    add_weighted_rows<head_dim>(sums, scores, walked.second(turn));
  }

  float factors[2];
  softmax.finish<head_dim>(factors, head_values(log_sum_exp, shape, place.sample, place.head), warp_query,
                           sequence);
  queries.store_warp_rows(sums, factors, head_rows(out, shape, shape.heads, place.sample, place.head),
                          first_query);
}

template <int head_dim>
void flash_forward(const AttentionShape& shape, cudaStream_t stream, const AttentionInputs& in,
                   const AttentionOutputs& to) {
  using T = __nv_bfloat16;
  launch("flash attention", flash_forward_kernel<head_dim>,
         {grid_of(shape, own_rows, shape.heads), dim3(block_threads), shared_bytes<head_dim>}, stream, shape,
         data<T>(in.q), data<T>(in.k), data<T>(in.v), data<T>(to.out), data<float>(to.log_sum_exp));
}

}  // namespace

bool FlashAttention::supports(const AttentionShape& shape, DataType type) {
  return type == DataType::bfloat16 && (shape.head_dim == 64 || shape.head_dim == 128) &&
         shape.heads * shape.sequence <= most_row_values;
}

void FlashAttention::forward(const AttentionShape& shape, const AttentionInputs& in,
                             const AttentionOutputs& to) const {
  if (to.out.elements() == 0) return;
  const auto forward = shape.head_dim == 64 ? flash_forward<64> : flash_forward<128>;
  forward(shape, context_.stream, in, to);
}

}  // namespace cola::cuda
