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

  /// Reads kept.mlp_norm; writes what the backward pass needs, and next = kept.middle + the layer's output
  /// [n, d].
  void forward(const Pass& pass, const Tensor& weights, const BlockActivations& kept,
               const Tensor& next) const;

  /// All that forward keeps, from kept.mlp_norm.
  void recompute(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const;

  /// gate_up, gated and both SiLUs again, from what stands before the SiLU alone.
  void recompute_wide(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const;

  /// Adds to workspace.d_stream, the gradient of the output, that of what the norm before the layer read,
  /// which `norm` says; adds to the gradients. Overwrites kept.gate_up with its gradient.
  void backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                const BlockActivations& kept, const Workspace& workspace, const NormBackward& norm) const;

 private:
  Tensor gate(const Pass& pass, const BlockActivations& kept) const;
  Tensor up(const Pass& pass, const BlockActivations& kept) const;
  void forward_to_gated(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const;
  void widen(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const;
  void backward_to_gate_up(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                           const BlockActivations& kept, const Workspace& workspace) const;

  GateActivation activation_;
  Projection gate_up_, down_;
};

}  // namespace cola
