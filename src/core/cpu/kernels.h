// The CPU implementations of every kernel family.
#pragma once

#include <limits>
#include <memory>
#include <vector>

#include "core/cpu/loaded_products.h"
#include "core/kernels/activation.h"
#include "core/kernels/adamw.h"
#include "core/kernels/attention.h"
#include "core/kernels/cross_entropy.h"
#include "core/kernels/embedding.h"
#include "core/kernels/matmul.h"
#include "core/kernels/norm.h"
#include "core/kernels/reduce.h"
#include "core/kernels/rope.h"

namespace cola::cpu {

class CpuMatmul final : public MatmulKernels {
 public:
  void multiply(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                const Tensor& c, Accumulate accumulate) const override;
  void multiply_add(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                    const Tensor& addend, const Tensor& c) const override;
  std::int64_t preferred_tile_width() const override { return 768; }

 private:
  void multiply_matrix(const ProductShape& shape, const Tensor& a, const Tensor& b, const Tensor& c) const;

  mutable LoadedProducts products_;
};

class CpuNorm final : public NormKernels {
 public:
  void forward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& y,
               const Tensor& inverse_rms) const override;
  void recompute(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms,
                 const Tensor& y) const override;
  void backward(const Tensor& dy, const NormBackward& norm) const override;
};

class CpuRope final : public RopeKernels {
 public:
  void rotate(const Tensor& x, const RotationTables& tables, Rotation rotation) const override;
};

class CpuAttention final : public AttentionKernels {
 public:
  CpuAttention();
  ~CpuAttention() override;
  std::int64_t largest_head_dim() const override { return std::numeric_limits<std::int64_t>::max(); }
  std::string_view implementation(const AttentionShape&, DataType) const override { return "tiles"; }
  void forward(const AttentionShape& shape, const AttentionInputs& in,
               const AttentionOutputs& to) const override;
  void backward(const AttentionShape& shape, const AttentionInputs& in, const AttentionOutputs& kept,
                const Tensor& dout, const RotationTables& tables,
                const AttentionGradients& to) const override;

  struct Worker;  // one thread's products and tiles

 private:
  std::vector<std::unique_ptr<Worker>>& workers() const;
  mutable std::vector<std::unique_ptr<Worker>> workers_;
};

class CpuActivation final : public ActivationKernels {
 public:
  void silu_split(const Tensor& joined, const Tensor& split) const override;
  void silu_split_backward(const Tensor& joined, const Tensor& d_split,
                           const Tensor& d_joined) const override;
  void gate_product(GateActivation activation, const Tensor& gate, const Tensor& up,
                    const Tensor& product) const override;
  void gate_product_backward(GateActivation activation, const Tensor& gate, const Tensor& up,
                             const Tensor& d_product, const Tensor& d_gate,
                             const Tensor& d_up) const override;
};

class CpuEmbedding final : public EmbeddingKernels {
 public:
  void forward(const Tensor& ids, const Tensor& table, const Tensor& out) const override;
  void backward(const Tensor& ids, const Tensor& d_out, const Tensor& d_table) const override;
};

class CpuCrossEntropy final : public CrossEntropyKernels {
 public:
  void forward(std::span<const Tensor> logits, const Tensor& targets, std::int64_t vocabulary,
               const Tensor& losses) const override;
  void forward_backward(std::span<const Tensor> logits, const Tensor& targets, std::int64_t vocabulary,
                        const Tensor& losses) const override;
};

class CpuAdamW final : public AdamWKernels {
 public:
  void update(const AdamWParameters& parameters, const Tensor& weights, const Tensor& exp_avg,
              const Tensor& exp_avg_sq, const Tensor& gradient, const Tensor& working) const override;
};

class CpuReduce final : public ReduceKernels {
 public:
  double sum_of_squares(const Tensor& values) const override;
  void add_sum(const Tensor& values, const Tensor& total) const override;
  void convert(const Tensor& source, const Tensor& destination) const override;
};

}  // namespace cola::cpu
