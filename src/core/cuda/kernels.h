// The GPU implementations of every kernel family. Each gives its work to the context's stream and returns.
#pragma once

#include <memory>

#include "core/cuda/context.h"
#include "core/cuda/matmul_plans.h"
#include "core/kernels/activation.h"
#include "core/kernels/adamw.h"
#include "core/kernels/attention.h"
#include "core/kernels/cross_entropy.h"
#include "core/kernels/embedding.h"
#include "core/kernels/matmul.h"
#include "core/kernels/norm.h"
#include "core/kernels/reduce.h"
#include "core/kernels/rope.h"
#include "core/separate_products.h"

namespace cola {
struct MatmulShape;
}

namespace cola::cuda {

/// What all families hold: the context, which outlives them.
class OnContext {
 public:
  explicit OnContext(const Context& context) : context_(context) {}

 protected:
  const Context& context_;
};

/// Products by cuBLASLt; on Hopper, sums of few terms with another tensor by a kernel of this project.
class CudaMatmul final : public MatmulKernels, OnContext {
 public:
  /// Products of `smallest_timed` operations or more: see CudaOptions.
  CudaMatmul(const Context& context, double smallest_timed);
  ~CudaMatmul() override;
  void multiply(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                const Tensor& c, Accumulate accumulate) const override;
  void multiply_add(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                    const Tensor& addend, const Tensor& c) const override;
  std::int64_t preferred_tile_width() const override { return 0; }

 private:
  // addend: the elements of c's type to add, c's own or others; null for none.
  void multiply(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                const void* addend, const Tensor& c) const;
  void store_addend(const void* addend, const Tensor& c) const;
  bool has_own_sum(const MatmulShape& shape, const Tensor& a, const Tensor& b, const Tensor& addend,
                   const Tensor& c) const;

  mutable MatmulPlans plans_;
};

class CudaNorm final : public NormKernels, OnContext {
 public:
  using OnContext::OnContext;
  void forward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& y,
               const Tensor& inverse_rms) const override;
  void recompute(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms,
                 const Tensor& y) const override;
  void backward(const Tensor& dy, const NormBackward& norm) const override;
};

class CudaRope final : public RopeKernels, OnContext {
 public:
  using OnContext::OnContext;
  void rotate(const Tensor& x, const RotationTables& tables, Rotation rotation) const override;
};

class CudaActivation final : public ActivationKernels, OnContext {
 public:
  using OnContext::OnContext;
  void silu_split(const Tensor& joined, const Tensor& split) const override;
  void silu_split_backward(const Tensor& joined, const Tensor& d_split,
                           const Tensor& d_joined) const override;
  void gate_product(GateActivation activation, const Tensor& gate, const Tensor& up,
                    const Tensor& product) const override;
  void gate_product_backward(GateActivation activation, const Tensor& gate, const Tensor& up,
                             const Tensor& d_product, const Tensor& d_gate,
                             const Tensor& d_up) const override;
};

/// In one kernel, with sums that the norm's backward pass needs in others beside it, on a GPU of compute
/// capability 9.0, for bf16 rows of whole 16 bytes, in a build with CUTLASS; otherwise one after the other.
class CudaFusedProducts final : public FusedProductKernels, OnContext {
 public:
  CudaFusedProducts(const Context& context, const MatmulKernels& matmul, const ActivationKernels& activation,
                    const RopeKernels& rope, const NormKernels& norm);
  bool joins(DataType type) const override;
  void silu_product(const Tensor& x, const Tensor& a, const Tensor& pre, const Tensor& split) const override;
  Tensor silu_product_backward(const Tensor& d_outputs, const Tensor& b, const Tensor& pre,
                               const Tensor& d_split, const Tensor& d_pre) const override;
  void rotated_product(const Tensor& x, const Tensor& b, const RotationTables& tables,
                       std::int64_t rotated_parts, const Tensor& outputs) const override;
  void gated_product(GateActivation activation, const Tensor& x, const Tensor& b, const Tensor& gate,
                     const Tensor& up, const Tensor& product) const override;
  void gated_product_backward(GateActivation activation, const Tensor& d_pre, const Tensor& a,
                              const Tensor& d_product, const Tensor& gate, const Tensor& up) const override;
  void normed_product_backward(const Tensor& d_pre, const Tensor& a, const Tensor& pre,
                               const Tensor& row_dots, const Tensor& dy,
                               const NormBackward& norm) const override;

 private:
  template <typename... Tensors>
  bool fits(std::int64_t columns, const Tensors&... tensors) const;

  SeparateProducts separate_;
};

class CudaEmbedding final : public EmbeddingKernels, OnContext {
 public:
  using OnContext::OnContext;
  void forward(const Tensor& ids, const Tensor& table, const Tensor& out) const override;
  void backward(const Tensor& ids, const Tensor& d_out, const Tensor& d_table) const override;
};

class CudaCrossEntropy final : public CrossEntropyKernels, OnContext {
 public:
  using OnContext::OnContext;
  void forward(std::span<const Tensor> logits, const Tensor& targets, std::int64_t vocabulary,
               const Tensor& losses) const override;
  void forward_backward(std::span<const Tensor> logits, const Tensor& targets, std::int64_t vocabulary,
                        const Tensor& losses) const override;
};

class CudaAdamW final : public AdamWKernels, OnContext {
 public:
  using OnContext::OnContext;
  void update(const AdamWParameters& parameters, const Tensor& weights, const Tensor& exp_avg,
              const Tensor& exp_avg_sq, const Tensor& gradient, const Tensor& working) const override;
};

class CudaReduce final : public ReduceKernels, OnContext {
 public:
  using OnContext::OnContext;
  double sum_of_squares(const Tensor& values) const override;
  void add_sum(const Tensor& values, const Tensor& total) const override;
  void convert(const Tensor& source, const Tensor& destination) const override;
};

}  // namespace cola::cuda
