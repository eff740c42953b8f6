// ShapeDevice: a device whose memory is only addresses and whose kernels do nothing, so that the code of the
// largest model can be walked in milliseconds. Nothing may read what it "holds".
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/device.h"
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

namespace shapes {

struct Matmul final : MatmulKernels {
  void multiply(const Tensor&, Transpose, const Tensor&, Transpose, const Tensor&,
                Accumulate) const override {}
  void multiply_add(const Tensor&, Transpose, const Tensor&, Transpose, const Tensor&,
                    const Tensor&) const override {}
  std::int64_t preferred_tile_width() const override { return 0; }
};
struct Norm final : NormKernels {
  void forward(const Tensor&, const Tensor&, float, const Tensor&, const Tensor&) const override {}
  void recompute(const Tensor&, const Tensor&, const Tensor&, const Tensor&) const override {}
  void backward(const Tensor&, const NormBackward&) const override {}
};
struct Rope final : RopeKernels {
  void rotate(const Tensor&, const RotationTables&, Rotation) const override {}
};
struct Attention final : AttentionKernels {
  std::int64_t largest_head_dim() const override { return 1 << 20; }
  std::string_view implementation(const AttentionShape&, DataType) const override { return "not at all"; }
  void forward(const AttentionShape&, const AttentionInputs&, const AttentionOutputs&) const override {}
  void backward(const AttentionShape&, const AttentionInputs&, const AttentionOutputs&, const Tensor&,
                const RotationTables&, const AttentionGradients&) const override {}
};
struct Activation final : ActivationKernels {
  void silu_split(const Tensor&, const Tensor&) const override {}
  void silu_split_backward(const Tensor&, const Tensor&, const Tensor&) const override {}
  void gate_product(GateActivation, const Tensor&, const Tensor&, const Tensor&) const override {}
  void gate_product_backward(GateActivation, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                             const Tensor&) const override {}
};
struct Embedding final : EmbeddingKernels {
  void forward(const Tensor&, const Tensor&, const Tensor&) const override {}
  void backward(const Tensor&, const Tensor&, const Tensor&) const override {}
};
struct CrossEntropy final : CrossEntropyKernels {
  void forward(std::span<const Tensor>, const Tensor&, std::int64_t, const Tensor&) const override {}
  void forward_backward(std::span<const Tensor>, const Tensor&, std::int64_t, const Tensor&) const override {}
};
struct AdamW final : AdamWKernels {
  void update(const AdamWParameters&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
              const Tensor&) const override {}
};
struct Reduce final : ReduceKernels {
  double sum_of_squares(const Tensor&) const override { return 0; }
  void add_sum(const Tensor&, const Tensor&) const override {}
  void convert(const Tensor&, const Tensor&) const override {}
};
struct Copy final : PendingCopy {
  bool done() override { return true; }
  void wait() override {}
};

struct Mark final : TimeMark {
  double seconds_since(const TimeMark&) const override { return 0; }
};

}  // namespace shapes

class ShapeDevice : public Device {
 public:
  DeviceKind kind() const override { return DeviceKind::cpu; }
  std::string name() const override { return "shapes alone"; }
  bool prefers_bfloat16() const override { return true; }

  void* allocate(std::size_t) override { return reinterpret_cast<void*>(std::uintptr_t{1} << 40); }
  void free(void*) noexcept override {}
  std::size_t memory_bytes() const override { return 0; }
  std::size_t peak_allocated_bytes() const override { return 0; }
  void reset_peak_allocated_bytes() override {}
  void fill_bytes(void*, int, std::size_t) override {}
  void copy_from_host(void*, const void*, std::size_t) override {}
  void copy_to_host(void*, const void*, std::size_t) override {}
  void copy_on_device(void*, const void*, std::size_t) override {}
  void synchronize() override {}

  void* allocate_host(std::size_t bytes) override { return allocate(bytes); }
  void free_host(void*) noexcept override {}
  std::unique_ptr<PendingCopy> start_copy_to_host(void*, const void*, std::size_t) override {
    return std::make_unique<shapes::Copy>();
  }
  std::unique_ptr<RepeatedWork> make_repeated_work() override { return std::make_unique<RepeatedWork>(); }
  std::unique_ptr<TimeMark> mark_time() override { return std::make_unique<shapes::Mark>(); }
  void begin_range(const char*) override {}
  void end_range() noexcept override {}

  const MatmulKernels& matmul() const override { return matmul_; }
  const NormKernels& norm() const override { return norm_; }
  const RopeKernels& rope() const override { return rope_; }
  const AttentionKernels& attention() const override { return attention_; }
  const ActivationKernels& activation() const override { return activation_; }
  const FusedProductKernels& fused_products() const override { return fused_products_; }
  const EmbeddingKernels& embedding() const override { return embedding_; }
  const CrossEntropyKernels& cross_entropy() const override { return cross_entropy_; }
  const AdamWKernels& adamw() const override { return adamw_; }
  const ReduceKernels& reduce() const override { return reduce_; }

 private:
  shapes::Matmul matmul_;
  shapes::Norm norm_;
  shapes::Rope rope_;
  shapes::Attention attention_;
  shapes::Activation activation_;
  SeparateProducts fused_products_{matmul_, activation_, rope_, norm_};
  shapes::Embedding embedding_;
  shapes::CrossEntropy cross_entropy_;
  shapes::AdamW adamw_;
  shapes::Reduce reduce_;
};

}  // namespace cola
