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

// Up to the norm that the MLP reads.
void Block::forward_to_mlp(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const {
  const NormKernels& norm = pass.device.norm();
  norm.forward(kept.input, norm_of(weights, attention_norm_), epsilon_, kept.attention_norm,
               kept.attention_inverse_rms);
  attention_.forward(pass, weights, kept);
  norm.forward(kept.middle, norm_of(weights, mlp_norm_), epsilon_, kept.mlp_norm, kept.mlp_inverse_rms);
}

void Block::forward(const Pass& pass, const Tensor& weights, const BlockActivations& kept,
                    const Tensor& next) const {
  forward_to_mlp(pass, weights, kept);
  mlp_.forward(pass, weights, kept, next);
}

void Block::recompute(Recompute policy, const Pass& pass, const Tensor& weights,
                      const BlockActivations& kept) const {
  const NormKernels& norm = pass.device.norm();
  switch (policy) {
    case Recompute::none:
      return;
    case Recompute::cola_m:
      norm.recompute(kept.input, norm_of(weights, attention_norm_), kept.attention_inverse_rms,
                     kept.attention_norm);
      attention_.recompute_wide(pass, weights, kept);
      norm.recompute(kept.middle, norm_of(weights, mlp_norm_), kept.mlp_inverse_rms, kept.mlp_norm);
      mlp_.recompute_wide(pass, weights, kept);
      return;
    case Recompute::block:
      forward_to_mlp(pass, weights, kept);
      mlp_.recompute(pass, weights, kept);
  }
}

void Block::backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                     const BlockActivations& kept, const Workspace& workspace) const {
  mlp_.backward(pass, weights, gradients, kept, workspace,
                {kept.middle, norm_of(weights, mlp_norm_), kept.mlp_inverse_rms, workspace.d_stream,
                 norm_of(gradients, mlp_norm_)});
  attention_.backward(pass, weights, gradients, kept, workspace,
                      {kept.input, norm_of(weights, attention_norm_), kept.attention_inverse_rms,
                       workspace.d_stream, norm_of(gradients, attention_norm_)});
}

}  // namespace cola
