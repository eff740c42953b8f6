// Attention by cuDNN, which fuses these very graphs of products, reductions and element-wise operations into
// one kernel each. Its single operations for attention know no causal mask before version 9.21.
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "core/cuda/attention.h"
#include "core/cuda/cudnn_graph.h"
#include "core/cuda/kernels.h"
#include "core/error.h"
#include "core/log.h"

namespace cola::cuda {

namespace {

// Entry (sample, head, row, column) of a tensor [batch * sequence, heads * head_dim].
CudnnShape rows_of(const AttentionShape& shape, std::int64_t heads) {
  return {{shape.batch, heads, shape.sequence, shape.head_dim},
          {shape.sequence * heads * shape.head_dim, shape.head_dim, heads * shape.head_dim, 1}};
}
CudnnShape query_rows(const AttentionShape& shape) {
  return rows_of(shape, shape.heads);
}
CudnnShape key_rows(const AttentionShape& shape) {
  return rows_of(shape, shape.kv_heads);
}
// The same memory with each matrix transposed.
CudnnShape transposed(CudnnShape shape) {
  std::swap(shape.sizes[2], shape.sizes[3]);
  std::swap(shape.strides[2], shape.strides[3]);
  return shape;
}
CudnnShape packed(std::int64_t batch, std::int64_t heads, std::int64_t rows, std::int64_t columns) {
  return {{batch, heads, rows, columns}, {heads * rows * columns, rows * columns, columns, 1}};
}
// A score for every query and key.
CudnnShape scores_of(const AttentionShape& shape) {
  return packed(shape.batch, shape.heads, shape.sequence, shape.sequence);
}
// A number for every query.
CudnnShape sums_of(const AttentionShape& shape) {
  return packed(shape.batch, shape.heads, shape.sequence, 1);
}

std::size_t sums_bytes(const AttentionShape& shape) {
  return static_cast<std::size_t>(shape.batch * shape.heads * shape.sequence) * sizeof(float);
}

float scale_of(const AttentionShape& shape) {
  return 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
}

// Minus infinity where a key comes after its query.
CudnnTensor mask_later_keys(CudnnGraph& graph, const CudnnShape& shape, CudnnTensor scores) {
  const auto row = graph.index_along(2, scores, graph.passing(shape, CUDNN_DATA_INT32));
  const auto column = graph.index_along(3, scores, graph.passing(shape, CUDNN_DATA_INT32));
  const auto allowed =
      graph.apply(CUDNN_POINTWISE_CMP_GE, {row, column}, graph.passing(shape, CUDNN_DATA_BOOLEAN));
  const auto minus_infinity = graph.constant(-std::numeric_limits<float>::infinity());
  return graph.apply(CUDNN_POINTWISE_BINARY_SELECT, {scores, minus_infinity, allowed}, graph.passing(shape));
}

// P = softmax(S); O = P V; log_sum_exp = max S + log sum exp(S - max S).
struct Forward {
  Forward(CudnnGraph& graph, const AttentionShape& shape)
      : q(graph.in_memory(query_rows(shape), CUDNN_DATA_BFLOAT16)),
        k(graph.in_memory(transposed(key_rows(shape)), CUDNN_DATA_BFLOAT16)),
        v(graph.in_memory(key_rows(shape), CUDNN_DATA_BFLOAT16)),
        out(graph.in_memory(query_rows(shape), CUDNN_DATA_BFLOAT16)),
        log_sum_exp(graph.in_memory(sums_of(shape), CUDNN_DATA_FLOAT)) {
    const CudnnShape square = scores_of(shape), sums = sums_of(shape);
    const auto products = graph.multiply(q, k, graph.passing(square));
    const auto scaled =
        graph.apply(CUDNN_POINTWISE_MUL, {products, graph.constant(scale_of(shape))}, graph.passing(square));
    const auto scores = mask_later_keys(graph, square, scaled);
    const auto highest = graph.reduce(CUDNN_REDUCE_TENSOR_MAX, scores, graph.passing(sums));
    const auto lowered = graph.apply(CUDNN_POINTWISE_SUB, {scores, highest}, graph.passing(square));
    const auto powers = graph.apply(CUDNN_POINTWISE_EXP, {lowered}, graph.passing(square));
    const auto sum = graph.reduce(CUDNN_REDUCE_TENSOR_ADD, powers, graph.passing(sums));
    const auto logarithm = graph.apply(CUDNN_POINTWISE_LOG, {sum}, graph.passing(sums));
    graph.apply(CUDNN_POINTWISE_ADD, {highest, logarithm}, log_sum_exp);
    const auto weights =
        graph.apply(CUDNN_POINTWISE_DIV, {powers, sum}, graph.passing(square, CUDNN_DATA_BFLOAT16));
    graph.multiply(weights, v, out);
  }

  CudnnTensor q, k, v, out, log_sum_exp;
};

// P = exp(S - log_sum_exp); dV = P^T dO; dP = dO V^T; dS = P (dP - D), D the sum of dO O over a row;
// dK = dS^T Q; dQ = dS K (Dao et al., "FlashAttention-2", 2023). With dQ a plain product, cuDNN keeps dS in
// its workspace and adds up in a fixed order; asked for an fp32 sum of dQ in memory, it would add atomically.
struct Backward {
  Backward(CudnnGraph& graph, const AttentionShape& shape)
      : q(graph.in_memory(query_rows(shape), CUDNN_DATA_BFLOAT16)),
        k(graph.in_memory(transposed(key_rows(shape)), CUDNN_DATA_BFLOAT16)),
        v(graph.in_memory(transposed(key_rows(shape)), CUDNN_DATA_BFLOAT16)),
        out(graph.in_memory(query_rows(shape), CUDNN_DATA_BFLOAT16)),
        dout(graph.in_memory(query_rows(shape), CUDNN_DATA_BFLOAT16)),
        log_sum_exp(graph.in_memory(sums_of(shape), CUDNN_DATA_FLOAT)),
        row_sums(graph.in_memory(sums_of(shape), CUDNN_DATA_FLOAT)),
        dq(graph.in_memory(query_rows(shape), CUDNN_DATA_BFLOAT16)),
        dk(graph.in_memory(key_rows(shape), CUDNN_DATA_BFLOAT16)),
        dv(graph.in_memory(key_rows(shape), CUDNN_DATA_BFLOAT16)) {
    const CudnnShape square = scores_of(shape), sums = sums_of(shape);
    const auto scale = graph.constant(scale_of(shape));
    const auto outs = graph.apply(CUDNN_POINTWISE_MUL, {dout, out}, graph.passing(query_rows(shape)));
    const auto row_sum = graph.reduce(CUDNN_REDUCE_TENSOR_ADD, outs, graph.passing(sums));
    graph.apply(CUDNN_POINTWISE_MUL, {row_sum, graph.constant(1.0f)}, row_sums);

    const auto products = graph.multiply(q, k, graph.passing(square));
    const auto scaled = graph.apply(CUDNN_POINTWISE_MUL, {products, scale}, graph.passing(square));
    const auto lowered = graph.apply(CUDNN_POINTWISE_SUB, {scaled, log_sum_exp}, graph.passing(square));
    const auto masked = mask_later_keys(graph, square, lowered);
    const auto weights = graph.apply(CUDNN_POINTWISE_EXP, {masked}, graph.passing(square));
    key_gradient(graph, shape, weights, dout, dv);

    const auto dweights = graph.multiply(dout, v, graph.passing(square));
    const auto centred = graph.apply(CUDNN_POINTWISE_SUB, {dweights, row_sums}, graph.passing(square));
    const auto dscores = graph.apply(CUDNN_POINTWISE_MUL, {centred, weights}, graph.passing(square));
    const auto dscaled = graph.apply(CUDNN_POINTWISE_MUL, {dscores, scale}, graph.passing(square));
    key_gradient(graph, shape, dscaled, q, dk);

    const auto keys = graph.reshape(k, graph.passing(key_rows(shape), CUDNN_DATA_BFLOAT16));
    graph.multiply(dscaled, keys, dq);
  }

  // gradient = scores^T rows, added up over the query heads that share a key head.
  static void key_gradient(CudnnGraph& graph, const AttentionShape& shape, CudnnTensor scores,
                           CudnnTensor rows, CudnnTensor gradient) {
    const auto turned =
        graph.reshape(scores, graph.passing(transposed(scores_of(shape)), CUDNN_DATA_BFLOAT16));
    if (shape.heads == shape.kv_heads) {
      graph.multiply(turned, rows, gradient);
      return;
    }
    const CudnnShape of_each_head = packed(shape.batch, shape.heads, shape.sequence, shape.head_dim);
    const auto parts = graph.multiply(turned, rows, graph.passing(of_each_head, CUDNN_DATA_BFLOAT16));
    graph.reduce(CUDNN_REDUCE_TENSOR_ADD, parts, gradient);
  }

  CudnnTensor q, k, v, out, dout, log_sum_exp, row_sums, dq, dk, dv;
};

// A graph compiled for `batch` sequences at a time, as many as the workspace allows.
template <typename Tensors>
struct Compiled {
  Tensors tensors;
  CudnnPlan plan;
  std::int64_t batch;
};

// The plans of one direction; null for a shape that cuDNN cannot do.
using ShapeKey = std::array<std::int64_t, 5>;
template <typename Tensors>
using Plans = std::map<ShapeKey, std::unique_ptr<const Compiled<Tensors>>>;

class CudnnAttention final : public AttentionKernels {
 public:
  CudnnAttention(const Context& context, CudnnHandle handle, const AttentionKernels& otherwise)
      : context_(context), handle_(std::move(handle)), otherwise_(otherwise) {}
  std::int64_t largest_head_dim() const override { return otherwise_.largest_head_dim(); }
  std::string_view implementation(const AttentionShape& shape, DataType type) const override {
    return find(forward_, shape) ? "cudnn" : otherwise_.implementation(shape, type);
  }
  void forward(const AttentionShape& shape, const AttentionInputs& in,
               const AttentionOutputs& to) const override;
  void backward(const AttentionShape& shape, const AttentionInputs& in, const AttentionOutputs& kept,
                const Tensor& dout, const RotationTables& tables,
                const AttentionGradients& to) const override;

 private:
  template <typename Tensors>
  const Compiled<Tensors>* find(Plans<Tensors>& plans, const AttentionShape& shape) const;
  template <typename Tensors>
  std::unique_ptr<const Compiled<Tensors>> compile(AttentionShape shape) const;
  template <typename Tensors, typename Bind>
  bool run(Plans<Tensors>& plans, const AttentionShape& shape, const char* operation, Bind&& bind) const;
  void give_up(const AttentionShape& shape, const DeviceError& error) const;

  const Context& context_;
  CudnnHandle handle_;
  const AttentionKernels& otherwise_;
  mutable Plans<Forward> forward_;
  mutable Plans<Backward> backward_;
  mutable bool warned_ = false;
};

ShapeKey key_of(const AttentionShape& shape) {
  return {shape.batch, shape.sequence, shape.heads, shape.kv_heads, shape.head_dim};
}

void CudnnAttention::give_up(const AttentionShape& shape, const DeviceError& error) const {
  cudaGetLastError();  // what the attempt left would surface at the next check
  if (!std::exchange(warned_, true))
    warning("this project's own attention is used for batch {}, sequence {}, {} and {} heads of {}: {}",
            shape.batch, shape.sequence, shape.heads, shape.kv_heads, shape.head_dim, error.what());
}

template <typename Tensors>
const Compiled<Tensors>* CudnnAttention::find(Plans<Tensors>& plans, const AttentionShape& shape) const {
  constexpr std::size_t most = 16;  // a plan takes a second to make: shapes that keep changing do without
  const auto known = plans.find(key_of(shape));
  if (known != plans.end()) return known->second.get();
  if (shape.sequence == 1 || plans.size() == most) return nullptr;
  std::unique_ptr<const Compiled<Tensors>>& made = plans[key_of(shape)];
  try {
    made = compile<Tensors>(shape);
  } catch (const DeviceError& error) {
    give_up(shape, error);
  }
  return made.get();
}

// Whether cuDNN did it: bind(tensors, first) gives the addresses of the batch's entries from `first` on. A
// plan that fails when it is run is not tried again.
template <typename Tensors, typename Bind>
bool CudnnAttention::run(Plans<Tensors>& plans, const AttentionShape& shape, const char* operation,
                         Bind&& bind) const {
  const Compiled<Tensors>* compiled = find(plans, shape);
  if (!compiled) return false;
  try {
    for (std::int64_t first = 0; first < shape.batch; first += compiled->batch)
      compiled->plan.run(handle_.get(), bind(compiled->tensors, first), context_.blas_workspace, operation);
    return true;
  } catch (const DeviceError& error) {
    give_up(shape, error);
    plans[key_of(shape)].reset();
    return false;
  }
}

// The gradients of all scores seldom fit into the workspace: a large batch is then taken in equal parts.
template <typename Tensors>
std::unique_ptr<const Compiled<Tensors>> CudnnAttention::compile(AttentionShape shape) const {
  const std::int64_t batch = shape.batch;
  for (std::int64_t parts = 1; parts <= batch; ++parts) {
    if (batch % parts != 0) continue;
    shape.batch = batch / parts;
    if (sums_bytes(shape) > Context::scratch_bytes) continue;
    CudnnGraph graph;
    const Tensors tensors(graph, shape);
    if (auto plan = graph.compile(handle_.get(), Context::blas_workspace_bytes))
      return std::make_unique<const Compiled<Tensors>>(
          Compiled<Tensors>{tensors, *std::move(plan), shape.batch});
  }
  throw DeviceError("cuDNN needs more than {} MiB of workspace for one sequence",
                    Context::blas_workspace_bytes >> 20);
}

// Where the batch's entries from `first` on lie.
void* part(const Tensor& tensor, const AttentionShape& shape, std::int64_t first) {
  return tensor.rows(tensor.dim(0) / shape.batch * first, tensor.dim(0)).data();
}

void CudnnAttention::forward(const AttentionShape& shape, const AttentionInputs& in,
                             const AttentionOutputs& to) const {
  const bool done = run(forward_, shape, "attention", [&](const Forward& tensors, std::int64_t first) {
    const auto at = [&](const Tensor& tensor) { return part(tensor, shape, first); };
    return std::array<CudnnBinding, 5>{{{tensors.q, at(in.q)},
                                        {tensors.k, at(in.k)},
                                        {tensors.v, at(in.v)},
                                        {tensors.out, at(to.out)},
                                        {tensors.log_sum_exp, at(to.log_sum_exp)}}};
  });
  if (!done) otherwise_.forward(shape, in, to);
}

void CudnnAttention::backward(const AttentionShape& shape, const AttentionInputs& in,
                              const AttentionOutputs& kept, const Tensor& dout, const RotationTables& tables,
                              const AttentionGradients& to) const {
  const auto bind = [&](const Backward& tensors, std::int64_t first) {
    const auto at = [&](const Tensor& tensor) { return part(tensor, shape, first); };
    return std::array<CudnnBinding, 10>{{{tensors.q, at(in.q)},
                                         {tensors.k, at(in.k)},
                                         {tensors.v, at(in.v)},
                                         {tensors.out, at(kept.out)},
                                         {tensors.dout, at(dout)},
                                         {tensors.log_sum_exp, at(kept.log_sum_exp)},
                                         {tensors.row_sums, context_.scratch},
                                         {tensors.dq, at(to.dq)},
                                         {tensors.dk, at(to.dk)},
                                         {tensors.dv, at(to.dv)}}};
  };
  if (run(backward_, shape, "the gradient of attention", bind))
    rotate_back(CudaRope(context_), shape, tables, to);
  else
    otherwise_.backward(shape, in, kept, dout, tables, to);
}

}  // namespace

std::size_t cudnn_version() {
  return cudnnGetVersion();
}

std::unique_ptr<AttentionKernels> make_cudnn_attention(const Context& context,
                                                       const AttentionKernels& otherwise) {
  constexpr std::size_t oldest_version = 91600;  // before, sequences of no multiple of 128 were read beyond
  if (cudnnGetVersion() < oldest_version) {
    warning("cuDNN {} is too old for attention: 9.16 or newer is needed", cudnnGetVersion());
    return nullptr;
  }
  cudnnHandle_t made = nullptr;
  const cudnnStatus_t status = cudnnCreate(&made);
  if (status != CUDNN_STATUS_SUCCESS) {
    warning("cuDNN cannot be used: {}", cudnnGetErrorString(status));
    cudaGetLastError();  // what the attempt left would surface at the next check
    return nullptr;
  }
  CudnnHandle handle(made);
  check(cudnnSetStream(made, context.stream), "giving cuDNN a stream");
  return std::make_unique<CudnnAttention>(context, std::move(handle), otherwise);
}

}  // namespace cola::cuda
