#include "model/block.h"

#include <string>

#include "core/kernels/norm.h"

namespace cola {

namespace {
std::string prefix_of(std::int64_t layer) {
  return "model.layers." + std::to_string(layer) + ".";
}
}  // namespace

Block::Block(const ParameterTable& table, std::int64_t layer)
    : attention_norm_(table.find(prefix_of(layer) + "input_layernorm.weight")),
      mlp_norm_(table.find(prefix_of(layer) + "post_attention_layernorm.weight")),
      epsilon_(static_cast<float>(table.configuration().rms_norm_eps)),
      attention_(table, prefix_of(layer)),
      mlp_(table, prefix_of(layer)) {}

Tensor Block::norm_of(const Tensor& unit, const Parameter& parameter) const {
  return unit.view(parameter.offset, {parameter.stored_columns});
}

ResidualStream Block::forward(const Pass& pass, const Tensor& weights, const ResidualStream& stream,
                              const BlockActivations& kept, const Workspace& workspace) const {
  const NormKernels& norm = pass.device.norm();
  const Tensor weight = norm_of(weights, attention_norm_);
  if (stream.delta.empty())
    norm.forward(kept.input, weight, epsilon_, kept.attention_norm, kept.attention_inverse_rms);
  else
    norm.residual_forward(stream.residual, stream.delta, weight, epsilon_, kept.input, kept.attention_norm,
                          kept.attention_inverse_rms);
  forward_from_norm(pass, weights, kept, workspace);
  return {kept.middle, workspace.delta};
}

void Block::forward_from_norm(const Pass& pass, const Tensor& weights, const BlockActivations& kept,
                              const Workspace& workspace) const {
  attention_.forward(pass, weights, kept, workspace);
  pass.device.norm().residual_forward(kept.input, workspace.delta, norm_of(weights, mlp_norm_), epsilon_,
                                      kept.middle, kept.mlp_norm, kept.mlp_inverse_rms);
  mlp_.forward(pass, weights, kept, workspace);
}

void Block::recompute(Recompute policy, const Pass& pass, const Tensor& weights, const BlockActivations& kept,
                      const Workspace& workspace) const {
  const NormKernels& norm = pass.device.norm();
  const Tensor attention_weight = norm_of(weights, attention_norm_);
  switch (policy) {
    case Recompute::none:
      return;
    case Recompute::cola_m:
      norm.recompute(kept.input, attention_weight, kept.attention_inverse_rms, kept.attention_norm);
      attention_.recompute_wide(pass, weights, kept);
      norm.recompute(kept.middle, norm_of(weights, mlp_norm_), kept.mlp_inverse_rms, kept.mlp_norm);
      mlp_.recompute_wide(pass, weights, kept);
      return;
    case Recompute::block:
      norm.forward(kept.input, attention_weight, epsilon_, kept.attention_norm, kept.attention_inverse_rms);
      forward_from_norm(pass, weights, kept, workspace);
  }
}

void Block::backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                     const BlockActivations& kept, const Workspace& workspace) const {
  const NormKernels& norm = pass.device.norm();
  mlp_.backward(pass, weights, gradients, kept, workspace);
  norm.backward(workspace.d_norm, kept.middle, norm_of(weights, mlp_norm_), kept.mlp_inverse_rms,
                workspace.d_stream, norm_of(gradients, mlp_norm_));
  attention_.backward(pass, weights, gradients, kept, workspace);
  norm.backward(workspace.d_norm, kept.input, norm_of(weights, attention_norm_), kept.attention_inverse_rms,
                workspace.d_stream, norm_of(gradients, attention_norm_));
}

}  // namespace cola
