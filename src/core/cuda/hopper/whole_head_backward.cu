// Attention's gradients with a whole head in shared memory (flash_attention_backward.cu has the formulas).
// Every input is read once, the weights are computed once, and sums are still taken in a fixed order, since a
// block holds everything that queries and keys of the head exchange.
//   First, for each 64 keys: weights and their gradients with all later queries, transposed (a row belongs to
//   a key), in registers, where they are the left operands of dv's and dk's products. The scores' gradients
//   are left in shared memory.
//   Then, for each 64 queries: dq, from those and the keys.
#include "core/cuda/attention.h"
#include "core/cuda/hopper/whole_head.h"
#include "core/cuda/type_dispatch.h"

namespace cola::cuda {

namespace {

using namespace whole_head;
using flash::BackwardInputs;

// What a block keeps in shared memory: squares of the inputs, squares of the scores' gradients, a key a row,
// and what each query's softmax left.
struct SharedHead {
  unsigned char* memory;
  int squares;  // of each input

  static constexpr int pairs(int squares) { return squares * (squares + 1) / 2; }
  static constexpr std::size_t bytes(int squares) {
    return static_cast<std::size_t>(4 * squares + pairs(squares)) * square_bytes +
           2 * sizeof(float) * static_cast<std::size_t>(squares * square);
  }

  __device__ unsigned char* at(int index) const {
    return memory + static_cast<std::size_t>(index) * square_bytes;
  }
  __device__ unsigned char* queries(int i) const { return at(i); }
  __device__ unsigned char* keys(int j) const { return at(squares + j); }
  __device__ unsigned char* values(int j) const { return at(2 * squares + j); }
  __device__ unsigned char* douts(int i) const { return at(3 * squares + i); }
  // Of queries i with keys j, no later ones.
  __device__ unsigned char* gradients(int i, int j) const { return at(4 * squares + pairs(i) + j); }
  // log_sum_exp to base 2, and delta, of all queries.
  __device__ float* shifts() const { return reinterpret_cast<float*>(at(4 * squares + pairs(squares))); }
  __device__ float* deltas() const { return shifts() + squares * square; }
};

// Loads the whole head. Returns when this thread's part is there.
__device__ void load(const SharedHead& head, const AttentionShape& shape, const BackwardInputs& in) {
  const LoadPlace place;
  place.start_load(head.queries(0), head.squares, own_head(in.q, shape));
  place.start_load(head.keys(0), head.squares, own_head(in.k, shape));
  place.start_load(head.values(0), head.squares, own_head(in.v, shape));
  place.start_load(head.douts(0), head.squares, own_head(in.dout, shape));
  close_copy_group();

  // delta = dout·out of each query, whose eight chunks eight neighbouring lanes have.
  const auto out = own_head(in.out, shape);
  const int turns = LoadPlace::turns(head.squares);
  RawPack<__nv_bfloat16, chunk> outs[LoadPlace::most_turns];
#pragma unroll
  for (int turn = 0; turn < LoadPlace::most_turns; ++turn)
    if (turn < turns)
      outs[turn] = RawPack<__nv_bfloat16, chunk>::load(out.row(min(place.row(turn), out.count - 1)) +
                                                       place.column * chunk);
  const float* const log_sum_exp = head_values(in.log_sum_exp, shape, blockIdx.y, blockIdx.x);
  for (int query = static_cast<int>(threadIdx.x); query < head.squares * square; query += all_threads)
    head.shifts()[query] = query < out.count ? log_sum_exp[query] * log2_of_e : 0.0f;
  wait_for_copies<0>();
#pragma unroll
  for (int turn = 0; turn < LoadPlace::most_turns; ++turn) {
    if (turn >= turns) break;
    const auto douts = RawPack<__nv_bfloat16, chunk>::load(
        reinterpret_cast<const __nv_bfloat16*>(head.douts(0) + place.offset(turn)));
    float delta = 0;
#pragma unroll
    for (int e = 0; e < chunk; ++e) delta = fmaf(outs[turn][e], douts[e], delta);
#pragma unroll
    for (int distance = chunks / 2; distance > 0; distance /= 2)
      delta += __shfl_xor_sync(0xffffffffu, delta, distance);
    if (place.column == 0) head.deltas()[place.row(turn)] = delta;
  }
}

// The angles of this thread's two rows of a square. They are read before products that they are wanted after.
struct RowAngles {
  Pack<float, 2> cosines[2][chunks / 2], sines[2][chunks / 2];

  __device__ RowAngles(const BackwardInputs& in, int first_row, int sequence) {
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
      const int row = first_row + first_row_of_warp() + fragment_row(e);
      const int position = min(row, sequence - 1) * (head_dim / 2);  // beyond the sequence, the last one's
#pragma unroll
      for (int n = 0; n < chunks / 2; ++n) {
        cosines[e / 2][n] = Pack<float, 2>::load(in.cosines + position + fragment_column(n, e));
        sines[e / 2][n] = Pack<float, 2>::load(in.sines + position + fragment_column(n, e));
      }
    }
  }
  __device__ void rotate_back(Sums& sums) const {
    flash::rotate_rows_back<head_dim>(sums, [&](int n, int e) {
      return flash::AnglePair{cosines[e / 2][n], sines[e / 2][n]};
    });
  }
};

// Leaves this warp's rows of a left operand in a square.
__device__ void leave_in_square(const Left (&left)[warp_group::depths], unsigned char* to) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
#pragma unroll
  for (int step = 0; step < warp_group::depths; ++step)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      *reinterpret_cast<std::uint32_t*>(
          to + warp_group::offset_in_square(first_row_of_warp() + fragment_row(i % 2 * 2), 2 * step + i / 2) +
          lane % 4 * 4) = left[step][i];
}

// The two of all queries' values whose columns of tile n this thread holds, from the first query of a square.
__device__ float2 pair_of(const float* values, int n) {
  return *reinterpret_cast<const float2*>(values + fragment_column(n, 0));
}

struct Gradients {
  __nv_bfloat16 *dq, *dk, *dv;
};

// dk and dv of keys 64 j and following.
__device__ void work_on_keys(const SharedHead& head, int j, const AttentionShape& shape,
                             const BackwardInputs& in, const Gradients& to) {
  const RowAngles angles(in, j * square, static_cast<int>(shape.sequence));
  Sums key_sums = {}, value_sums = {};
  for (int i = j; i < head.squares; ++i) {
    Sums weights = {}, gradients = {};
    warp_group::prepare_products(weights, gradients);
    start_square_product(weights, head.keys(j), head.queries(i));
    start_square_product(gradients, head.values(j), head.douts(i));

    warp_group::wait_for_products<1>(weights);
    if (i == j) flash::hide_earlier_queries(weights, first_row_of_warp(), 0);
    flash::take_softmax<head_dim>(weights, [&](int n) { return pair_of(head.shifts() + i * square, n); });
    Left rounded_weights[warp_group::depths], rounded_gradients[warp_group::depths];
    round_to_left(weights, rounded_weights);
    start_weighted_rows(value_sums, rounded_weights, head.douts(i));

    warp_group::wait_for_products<1>(gradients);
    flash::take_softmax_backward(gradients, weights,
                                 [&](int n) { return pair_of(head.deltas() + i * square, n); });
    round_to_left(gradients, rounded_gradients);
    leave_in_square(rounded_gradients, head.gradients(i, j));
    start_weighted_rows(key_sums, rounded_gradients, head.queries(i));

    warp_group::wait_for_products<0>(value_sums, key_sums, rounded_weights, rounded_gradients);
  }
  warp_group::wait_for_group(thread_group());  // nobody reads these values any longer
  store(value_sums, {1.0f, 1.0f}, head.values(j), own_head(to.dv, shape), j * square);
  angles.rotate_back(key_sums);
  store(key_sums, {flash::scale<head_dim>, flash::scale<head_dim>}, head.values(j), own_head(to.dk, shape),
        j * square);
}

// dq of queries 64 i and following.
__device__ void work_on_queries(const SharedHead& head, int i, const AttentionShape& shape,
                                const BackwardInputs& in, const Gradients& to) {
  Sums sums = {};
  for (int j = 0; j <= i; ++j) {
    warp_group::prepare_products(sums);
#pragma unroll
    for (int step = 0; step < warp_group::depths; ++step)
      warp_group::start_product<Lies::down_columns, Lies::down_columns>(
          sums, warp_group::part_of<Lies::down_columns>(head.gradients(i, j), step),
          warp_group::part_of<Lies::down_columns>(head.keys(j), step), true);
    warp_group::close_products();
  }
  const RowAngles angles(in, i * square, static_cast<int>(shape.sequence));
  warp_group::wait_for_products<0>(sums);
  angles.rotate_back(sums);
  store(sums, {flash::scale<head_dim>, flash::scale<head_dim>}, head.queries(i), own_head(to.dq, shape),
        i * square);
}

__global__ void __launch_bounds__(all_threads, 1)
    whole_head_backward_kernel(AttentionShape shape, BackwardInputs in, Gradients to) {
  const SharedHead head{aligned_shared_memory(), squares_of(shape.sequence)};
  load(head, shape, in);
  warp_group::show_writes_to_products();
  __syncthreads();
  for_own_squares(head.squares, [&](int j) { work_on_keys(head, j, shape, in, to); });
  warp_group::show_writes_to_products();
  __syncthreads();
  for_own_squares(head.squares, [&](int i) { work_on_queries(head, i, shape, in, to); });
}

}  // namespace

void WholeHeadAttention::backward(const AttentionShape& shape, const AttentionInputs& in,
                                  const AttentionOutputs& kept, const Tensor& dout,
                                  const RotationTables& tables, const AttentionGradients& to) const {
  if (to.dq.elements() == 0) return;
  using T = __nv_bfloat16;
  launch("a whole head's attention backward", whole_head_backward_kernel,
         {grid_of_heads(shape), dim3(all_threads), shared_bytes_for<SharedHead>(shape.sequence)},
         context_.stream, shape, flash::backward_inputs(in, kept, dout, tables),
         Gradients{data<T>(to.dq), data<T>(to.dk), data<T>(to.dv)});
}

}  // namespace cola::cuda
