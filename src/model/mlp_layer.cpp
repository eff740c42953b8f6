#include "model/mlp_layer.h"

#include "core/kernels/fused_product.h"
#include "core/kernels/matmul.h"

namespace cola {

MlpLayer::MlpLayer(const ParameterTable& table, const std::string& prefix)
    : activation_(table.configuration().gate_has_silu() ? GateActivation::silu : GateActivation::none),
      gate_up_(table, {prefix + "mlp.gate_proj", prefix + "mlp.up_proj"}),
      down_(table, {prefix + "mlp.down_proj"}) {}

Tensor MlpLayer::gate(const Pass& pass, const BlockActivations& kept) const {
  return gate_up_.part(kept.gate_up, pass.rows(), 0);
}
Tensor MlpLayer::up(const Pass& pass, const BlockActivations& kept) const {
  return gate_up_.part(kept.gate_up, pass.rows(), 1);
}

// Of CoLA: the gate, then "up" together with the product of the two.
void MlpLayer::widen(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const {
  const NarrowActivations narrow{kept.gate_up_pre, kept.gate_up_split};
  pass.device.matmul().multiply(gate_up_.split_part(narrow, 0), Transpose::no, gate_up_.b(weights, 0),
                                Transpose::yes, gate(pass, kept), Accumulate::no);
  pass.device.fused_products().gated_product(activation_, gate_up_.split_part(narrow, 1),
                                             gate_up_.b(weights, 1), gate(pass, kept), up(pass, kept),
                                             kept.gated);
}

void MlpLayer::forward_to_gated(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const {
  const NarrowActivations narrow{kept.gate_up_pre, kept.gate_up_split};
  if (gate_up_.is_cola()) {
    gate_up_.apply_a(pass.device, weights, kept.mlp_norm, narrow);
    widen(pass, weights, kept);
  } else {
    gate_up_.forward(pass.device, weights, kept.mlp_norm, narrow, kept.gate_up);
    pass.device.activation().gate_product(activation_, gate(pass, kept), up(pass, kept), kept.gated);
  }
}

void MlpLayer::forward(const Pass& pass, const Tensor& weights, const BlockActivations& kept,
                       const Tensor& next) const {
  forward_to_gated(pass, weights, kept);
  down_.forward_added(pass.device, weights, kept.gated, {kept.down_pre, kept.down_split}, kept.middle, next);
}

void MlpLayer::recompute(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const {
  forward_to_gated(pass, weights, kept);
  if (down_.is_cola()) down_.apply_a(pass.device, weights, kept.gated, {kept.down_pre, kept.down_split});
}

void MlpLayer::recompute_wide(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const {
  gate_up_.restore_split(pass.device, {kept.gate_up_pre, kept.gate_up_split});
  widen(pass, weights, kept);
  down_.restore_split(pass.device, {kept.down_pre, kept.down_split});
}

// From the gradient of what `down` writes to those of gate and up, in their places.
void MlpLayer::backward_to_gate_up(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                                   const BlockActivations& kept, const Workspace& workspace) const {
  const NarrowActivations narrow{kept.down_pre, kept.down_split};
  const Tensor gate = this->gate(pass, kept), up = this->up(pass, kept);
  if (down_.is_cola()) {
    const NarrowGradients inner = down_.backward_to_pre(pass.device, weights, gradients, kept.gated, narrow,
                                                        workspace.d_stream, workspace.projection);
    pass.device.fused_products().gated_product_backward(activation_, inner.d_pre, down_.a(weights),
                                                        workspace.d_gated, gate, up);
  } else {
    down_.backward(pass.device, weights, gradients, kept.gated, narrow, workspace.d_stream,
                   workspace.projection, workspace.d_gated);
    pass.device.activation().gate_product_backward(activation_, gate, up, workspace.d_gated, gate, up);
  }
}

void MlpLayer::backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                        const BlockActivations& kept, const Workspace& workspace,
                        const NormBackward& norm) const {
  backward_to_gate_up(pass, weights, gradients, kept, workspace);
  gate_up_.backward_through_norm(pass.device, weights, gradients, kept.mlp_norm,
                                 {kept.gate_up_pre, kept.gate_up_split}, kept.gate_up, workspace.projection,
                                 workspace.d_norm, norm);
}

}  // namespace cola
