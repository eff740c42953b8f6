// MlpLayer: down(gate(x) * up(x)), the gate with or without a SiLU of its own. Forward and backward.
#pragma once

#include <string>

#include "core/kernels/activation.h"
#include "model/activations.h"
#include "model/projection.h"

namespace cola {

class MlpLayer {
 public:
  /// `prefix` is the block's, as in "model.layers.0.".
  MlpLayer(const ParameterTable& table, const std::string& prefix);

  /// Reads kept.mlp_norm; writes what the backward pass needs, and workspace.delta [n, d].
  void forward(const Pass& pass, const Tensor& weights, const BlockActivations& kept,
               const Workspace& workspace) const;

  /// gate_up, gated and both SiLUs again, from what stands before the SiLU alone.
  void recompute_wide(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const;

  /// Reads workspace.d_stream, the gradient of delta; writes workspace.d_norm; adds to the gradients.
  /// Overwrites kept.gate_up with its gradient.
  void backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                const BlockActivations& kept, const Workspace& workspace) const;

 private:
  Tensor gate(const Pass& pass, const BlockActivations& kept) const;
  Tensor up(const Pass& pass, const BlockActivations& kept) const;
  void widen(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const;
  void backward_to_gate_up(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                           const BlockActivations& kept, const Workspace& workspace) const;

  GateActivation activation_;
  Projection gate_up_, down_;
};

}  // namespace cola
