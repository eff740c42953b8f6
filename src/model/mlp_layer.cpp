#include "model/mlp_layer.h"

namespace cola {

MlpLayer::MlpLayer(const ParameterTable& table, const std::string& prefix)
    : activation_(table.configuration().gate_has_silu() ? GateActivation::silu : GateActivation::none),
      gate_up_(table, {prefix + "mlp.gate_proj", prefix + "mlp.up_proj"}),
      down_(table, {prefix + "mlp.down_proj"}) {}

void MlpLayer::multiply_gate(const Pass& pass, const BlockActivations& kept) const {
  pass.device.activation().gate_product(activation_, gate_up_.part(kept.gate_up, pass.rows(), 0),
                                        gate_up_.part(kept.gate_up, pass.rows(), 1), kept.gated);
}

void MlpLayer::forward(const Pass& pass, const Tensor& weights, const BlockActivations& kept,
                       const Workspace& workspace) const {
  gate_up_.forward(pass.device, weights, kept.mlp_norm, kept.gate_up_pre, workspace.projection, kept.gate_up);
  multiply_gate(pass, kept);
  down_.forward(pass.device, weights, kept.gated, kept.down_pre, workspace.projection, workspace.delta);
}

void MlpLayer::recompute_wide(const Pass& pass, const Tensor& weights, const BlockActivations& kept,
                              const Workspace& workspace) const {
  gate_up_.recompute(pass.device, weights, kept.gate_up_pre, workspace.projection, kept.gate_up);
  multiply_gate(pass, kept);
}

void MlpLayer::backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                        const BlockActivations& kept, const Workspace& workspace) const {
  down_.backward(pass.device, weights, gradients, kept.gated, kept.down_pre, workspace.d_stream,
                 workspace.projection, workspace.d_gated);
  const Tensor gate = gate_up_.part(kept.gate_up, pass.rows(), 0),
               up = gate_up_.part(kept.gate_up, pass.rows(), 1);
  pass.device.activation().gate_product_backward(activation_, gate, up, workspace.d_gated, gate, up);
  gate_up_.backward(pass.device, weights, gradients, kept.mlp_norm, kept.gate_up_pre, kept.gate_up,
                    workspace.projection, workspace.d_norm);
}

}  // namespace cola
