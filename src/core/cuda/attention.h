// The ways to compute attention on a GPU, and the choice among them.
#pragma once

#include <memory>

#include "core/cuda/context.h"
#include "core/device.h"
#include "core/kernels/attention.h"

namespace cola::cuda {

/// This project's flash attention on tensor cores: bf16, head_dim 64 or 128.
class FlashAttention final : public AttentionKernels {
 public:
  explicit FlashAttention(const Context& context) : context_(context) {}
  static bool supports(const AttentionShape& shape, DataType type);
  void forward(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v,
               const Tensor& out, const Tensor& log_sum_exp) const override;
  void backward(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v,
                const Tensor& out, const Tensor& log_sum_exp, const Tensor& dout, const Tensor& dq,
                const Tensor& dk, const Tensor& dv) const override;

 private:
  const Context& context_;
};

/// Tiled attention in fp32 arithmetic for every type and head_dim up to 256: small models, and fp32 runs.
class PlainAttention final : public AttentionKernels {
 public:
  explicit PlainAttention(const Context& context) : context_(context) {}
  void forward(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v,
               const Tensor& out, const Tensor& log_sum_exp) const override;
  void backward(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v,
                const Tensor& out, const Tensor& log_sum_exp, const Tensor& dout, const Tensor& dq,
                const Tensor& dk, const Tensor& dv) const override;

 private:
  const Context& context_;
};

/// cuDNN's scaled-dot-product attention for bf16; null in a build without cuDNN or where it cannot be used.
/// A shape that cuDNN has no plan for falls to `otherwise`, which is said once.
std::unique_ptr<AttentionKernels> make_cudnn_attention(const Context& context,
                                                       const AttentionKernels& otherwise);

/// Sends every call to cuDNN, flash or plain attention, whichever `choice` allows and the shape fits best.
class CudaAttention final : public AttentionKernels {
 public:
  CudaAttention(const Context& context, AttentionChoice choice);
  void forward(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v,
               const Tensor& out, const Tensor& log_sum_exp) const override;
  void backward(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v,
                const Tensor& out, const Tensor& log_sum_exp, const Tensor& dout, const Tensor& dq,
                const Tensor& dk, const Tensor& dv) const override;

 private:
  const AttentionKernels& kernels_for(const AttentionShape& shape, DataType type) const;

  PlainAttention plain_;
  FlashAttention flash_;
  std::unique_ptr<AttentionKernels> cudnn_;
};

}  // namespace cola::cuda
