// Block: one layer of the transformer: norm, attention, norm, MLP, around the residual stream.
#pragma once

#include "core/tensor.h"
#include "model/activations.h"
#include "model/attention_layer.h"
#include "model/mlp_layer.h"
#include "model/parameter_table.h"

namespace cola {

class Block {
 public:
  Block(const ParameterTable& table, std::int64_t layer);

  /// Takes the residual stream before the block, kept.input, to `next`, the stream after it [n, d]; keeps
  /// what the backward pass needs. next may be kept.input where no backward pass follows.
  void forward(const Pass& pass, const Tensor& weights, const BlockActivations& kept,
               const Tensor& next) const;

  /// Brings back what `policy` did not keep, with the same bits.
  void recompute(Recompute policy, const Pass& pass, const Tensor& weights,
                 const BlockActivations& kept) const;

  /// Takes workspace.d_stream from the gradient after the block to the gradient before it; adds to the
  /// gradients.
  void backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                const BlockActivations& kept, const Workspace& workspace) const;

 private:
  void forward_to_mlp(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const;
  Tensor norm_of(const Tensor& unit, const Parameter& parameter) const;

  const Parameter &attention_norm_, &mlp_norm_;
  float epsilon_;
  AttentionLayer attention_;
  MlpLayer mlp_;
};

}  // namespace cola
