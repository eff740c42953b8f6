// The ways to compute attention on a GPU, and the choice among them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/cuda/context.h"
#include "core/device.h"
#include "core/kernels/attention.h"

namespace cola::cuda {

/// This project's flash attention on tensor cores.
class FlashAttention final : public AttentionKernels {
 public:
  explicit FlashAttention(const Context& context) : context_(context) {}
  /// Whether it can compute this: bf16, heads of 64 or 128, and for one sample no more rows of heads (heads x
  /// sequence) than the scratch memory holds fp32 numbers: 8 million.
  static bool supports(const AttentionShape& shape, DataType type);
  std::int64_t largest_head_dim() const override { return 128; }
  std::string_view implementation(const AttentionShape&, DataType) const override { return "flash"; }
  void forward(const AttentionShape& shape, const AttentionInputs& in,
               const AttentionOutputs& to) const override;
  void backward(const AttentionShape& shape, const AttentionInputs& in, const AttentionOutputs& kept,
                const Tensor& dout, const RotationTables& tables,
                const AttentionGradients& to) const override;

 private:
  static constexpr std::int64_t most_row_values = Context::scratch_bytes / sizeof(float);

  const Context& context_;
};

/// Tiled attention in fp32 arithmetic for every type and every head_dim up to 256 that is a multiple of 4:
/// small models, and fp32 runs.
class PlainAttention final : public AttentionKernels {
 public:
  explicit PlainAttention(const Context& context) : context_(context) {}
  std::int64_t largest_head_dim() const override { return 256; }
  std::string_view implementation(const AttentionShape&, DataType) const override { return "plain"; }
  void forward(const AttentionShape& shape, const AttentionInputs& in,
               const AttentionOutputs& to) const override;
  void backward(const AttentionShape& shape, const AttentionInputs& in, const AttentionOutputs& kept,
                const Tensor& dout, const RotationTables& tables,
                const AttentionGradients& to) const override;

 private:
  const Context& context_;
};

/// cuDNN's scaled-dot-product attention for bf16; null in a build without cuDNN or where it cannot be used.
/// A shape that cuDNN has no plan for, or whose plan fails, falls to `otherwise`, which is said once.
std::unique_ptr<AttentionKernels> make_cudnn_attention(const Context& context,
                                                       const AttentionKernels& otherwise);

/// The cuDNN that runs here, as it counts itself (90000 is 9.0.0); 0 in a build without it.
std::size_t cudnn_version();

/// The shortest sequence that `auto` gives to cuDNN: below, memory sets the pace of both, and a plan costs a
/// second of every start (docs/gpu.md has the count). `cola_bench kernels` measures both on a configuration's
/// shape.
constexpr std::int64_t shortest_for_cudnn = 1024;

/// Flash attention of short sequences, whose heads fit shared memory whole: the backward pass goes over
/// memory once instead of twice.
class WholeHeadAttention final : public AttentionKernels {
 public:
  explicit WholeHeadAttention(const Context& context) : context_(context) {}
  /// Whether this GPU has the instructions: compute capability 9.0.
  static bool runs_on(const Context& context);
  /// Whether a head of this fits, FlashAttention::supports() being given: up to 256 positions, heads of 64,
  /// as many of keys as of queries.
  static bool supports(const AttentionShape& shape);
  std::int64_t largest_head_dim() const override { return 64; }
  std::string_view implementation(const AttentionShape&, DataType) const override { return "whole_heads"; }
  void forward(const AttentionShape& shape, const AttentionInputs& in,
               const AttentionOutputs& to) const override;
  void backward(const AttentionShape& shape, const AttentionInputs& in, const AttentionOutputs& kept,
                const Tensor& dout, const RotationTables& tables,
                const AttentionGradients& to) const override;

 private:
  const Context& context_;
};

/// Sends every call to cuDNN, whole heads, flash or plain attention, whichever `choice` allows and the shape
/// fits best.
class CudaAttention final : public AttentionKernels {
 public:
  CudaAttention(const Context& context, AttentionChoice choice);
  std::int64_t largest_head_dim() const override { return plain_.largest_head_dim(); }
  std::string_view implementation(const AttentionShape& shape, DataType type) const override {
    return kernels_for(shape, type).implementation(shape, type);
  }
  void forward(const AttentionShape& shape, const AttentionInputs& in,
               const AttentionOutputs& to) const override;
  void backward(const AttentionShape& shape, const AttentionInputs& in, const AttentionOutputs& kept,
                const Tensor& dout, const RotationTables& tables,
                const AttentionGradients& to) const override;

 private:
  const AttentionKernels& kernels_for(const AttentionShape& shape, DataType type) const;
  const AttentionKernels* find_cudnn() const;

  const Context& context_;
  AttentionChoice choice_;
  PlainAttention plain_;
  FlashAttention flash_;
  WholeHeadAttention whole_heads_;
  mutable bool sought_ = false;  // cuDNN, which is started when it is first needed
  mutable std::unique_ptr<AttentionKernels> cudnn_;
};

}  // namespace cola::cuda
