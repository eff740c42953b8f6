// Causal scaled-dot-product attention with grouped queries, computed in tiles: no sequence x sequence matrix
// exists (Dao et al., "FlashAttention", 2022).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/kernels/rope.h"
#include "core/tensor.h"

namespace cola {

/// Query head h reads key and value head h / (heads / kv_heads). The scale is 1 / sqrt(head_dim).
struct AttentionShape {
  std::int64_t batch = 0, sequence = 0, heads = 0, kv_heads = 0, head_dim = 0;
};

/// What attention reads: q [batch * sequence, heads * head_dim]; k, v [batch * sequence, kv_heads *
/// head_dim]. q and k are rotated as RopeKernels does it.
struct AttentionInputs {
  Tensor q, k, v;
};

/// What it writes, and the backward pass reads: out, shaped like q; log_sum_exp [batch, heads, sequence]
/// fp32, the logarithm of each softmax's denominator, scale applied.
struct AttentionOutputs {
  Tensor out, log_sum_exp;
};

/// Shaped like q, k and v.
struct AttentionGradients {
  Tensor dq, dk, dv;
};

class AttentionKernels {
 public:
  virtual ~AttentionKernels() = default;

  /// Heads of up to this size can be computed, where it is a multiple of 4.
  virtual std::int64_t largest_head_dim() const = 0;

  /// Which implementation computes this shape here, in a word for tables and tests: a device may have
  /// several.
  virtual std::string_view implementation(const AttentionShape& shape, DataType type) const = 0;

  /// Throws DeviceError for heads that cannot be computed.
  virtual void forward(const AttentionShape& shape, const AttentionInputs& in,
                       const AttentionOutputs& to) const = 0;

  /// Overwrites the gradients. dq and dk are the gradients of the queries and keys before their rotation;
  /// `tables` may have more positions than `sequence`.
  virtual void backward(const AttentionShape& shape, const AttentionInputs& in, const AttentionOutputs& kept,
                        const Tensor& dout, const RotationTables& tables,
                        const AttentionGradients& to) const = 0;
};

/// From gradients of rotated queries and keys to those before the rotation, in passes of their own: for
/// implementations of `backward` that cannot do it on the way.
inline void rotate_back(const RopeKernels& rope, const AttentionShape& shape, const RotationTables& tables,
                        const AttentionGradients& gradients) {
  for (const Tensor& gradient : {gradients.dq, gradients.dk})
    rope.rotate(gradient, tables.first_positions(shape.sequence), Rotation::backward);
}

}  // namespace cola
