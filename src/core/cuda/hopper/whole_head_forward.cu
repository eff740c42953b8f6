// Attention with a whole head in shared memory (flash_attention_forward.cu): 64 queries at a time walk over
// the keys and values up to the diagonal, all of which are there.
#include "core/cuda/attention.h"
#include "core/cuda/hopper/whole_head.h"
#include "core/cuda/running_softmax.h"
#include "core/cuda/type_dispatch.h"

namespace cola::cuda {

namespace {

using namespace whole_head;

struct Inputs {
  const __nv_bfloat16 *q, *k, *v;
};

// Squares of the inputs.
struct SharedHead {
  unsigned char* memory;
  int squares;

  static constexpr std::size_t bytes(int squares) {
    return 3 * static_cast<std::size_t>(squares) * square_bytes;
  }
  __device__ unsigned char* at(int index) const {
    return memory + static_cast<std::size_t>(index) * square_bytes;
  }
  __device__ unsigned char* queries(int i) const { return at(i); }
  __device__ unsigned char* keys(int j) const { return at(squares + j); }
  __device__ unsigned char* values(int j) const { return at(2 * squares + j); }
};

__device__ void load(const SharedHead& head, const AttentionShape& shape, const Inputs& in) {
  const LoadPlace place;
  place.start_load(head.queries(0), head.squares, own_head(in.q, shape));
  place.start_load(head.keys(0), head.squares, own_head(in.k, shape));
  place.start_load(head.values(0), head.squares, own_head(in.v, shape));
  close_copy_group();
  wait_for_copies<0>();
}

// The outputs of queries 64 i and following.
__device__ void work_on_queries(const SharedHead& head, int i, const AttentionShape& shape,
                                __nv_bfloat16* out, float* log_sum_exp) {
  flash::RunningSoftmax softmax;
  Sums sums = {};
  for (int j = 0; j <= i; ++j) {
    Sums scores = {};
    warp_group::prepare_products(scores);
    start_square_product(scores, head.queries(i), head.keys(j));
    warp_group::wait_for_products<0>(scores);
    if (i == j) flash::hide_later_keys(scores, first_row_of_warp(), 0);
    softmax.advance<head_dim>(scores, sums);
    Left weights[warp_group::depths];
    round_to_left(scores, weights);
    start_weighted_rows(sums, weights, head.values(j));
    warp_group::wait_for_products<0>(sums, weights);
  }
  float factors[2];
  softmax.finish<head_dim>(factors, head_values(log_sum_exp, shape, blockIdx.y, blockIdx.x),
                           i * square + first_row_of_warp(), static_cast<int>(shape.sequence));
  warp_group::wait_for_group(thread_group());  // nobody reads these queries any longer
  store(sums, factors, head.queries(i), own_head(out, shape), i * square);
}

// Two blocks a multiprocessor: while one waits for its head, the other works.
__global__ void __launch_bounds__(all_threads, 2)
    whole_head_forward_kernel(AttentionShape shape, Inputs in, __nv_bfloat16* out, float* log_sum_exp) {
  const SharedHead head{aligned_shared_memory(), squares_of(shape.sequence)};
  load(head, shape, in);
  warp_group::show_writes_to_products();
  __syncthreads();
  for_own_squares(head.squares, [&](int i) { work_on_queries(head, i, shape, out, log_sum_exp); });
}

}  // namespace

bool WholeHeadAttention::runs_on(const Context& context) {
  return context.is_hopper();
}

bool WholeHeadAttention::supports(const AttentionShape& shape) {
  return shape.head_dim == head_dim && shape.kv_heads == shape.heads && shape.sequence <= most_positions;
}

void WholeHeadAttention::forward(const AttentionShape& shape, const AttentionInputs& in,
                                 const AttentionOutputs& to) const {
  if (to.out.elements() == 0) return;
  using T = __nv_bfloat16;
  launch("a whole head's attention", whole_head_forward_kernel,
         {grid_of_heads(shape), dim3(all_threads), shared_bytes_for<SharedHead>(shape.sequence)},
         context_.stream, shape, Inputs{data<T>(in.q), data<T>(in.k), data<T>(in.v)}, data<T>(to.out),
         data<float>(to.log_sum_exp));
}

}  // namespace cola::cuda
