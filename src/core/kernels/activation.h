// Element-wise non-linearities: CoLA's SiLU between its two factors, and SwiGLU's product.
#pragma once

#include "core/tensor.h"

namespace cola {

/// Whether the gate of the MLP passes through a SiLU of its own: silu(gate) * up, or gate * up.
enum class GateActivation { none, silu };

class ActivationKernels {
 public:
  virtual ~ActivationKernels() = default;

  /// silu(x) = x * sigmoid(x), and from "joined" to "split" layout on the way: joined [n, parts * r] holds
  /// each row's parts side by side, as one product with joined factors writes them; split [parts, n, r] is
  /// what the batched products read.
  virtual void silu_split(const Tensor& joined, const Tensor& split) const = 0;

  /// d_joined = d_split * silu'(joined): the gradient of silu_split. joined, d_joined [n, parts * r].
  virtual void silu_split_backward(const Tensor& joined, const Tensor& d_split,
                                   const Tensor& d_joined) const = 0;

  /// product = gate * up or silu(gate) * up; all of one shape.
  virtual void gate_product(GateActivation activation, const Tensor& gate, const Tensor& up,
                            const Tensor& product) const = 0;

  /// d_gate and d_up from d_product; d_gate may be gate and d_up may be up.
  virtual void gate_product_backward(GateActivation activation, const Tensor& gate, const Tensor& up,
                                     const Tensor& d_product, const Tensor& d_gate,
                                     const Tensor& d_up) const = 0;
};

}  // namespace cola
