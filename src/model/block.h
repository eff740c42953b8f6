// Block: one layer of the transformer: norm, attention, norm, MLP, around the residual stream.
#pragma once

#include "core/tensor.h"
#include "model/activations.h"
#include "model/attention_layer.h"
#include "model/mlp_layer.h"
#include "model/parameter_table.h"

namespace cola {

/// The residual stream between blocks: residual + delta. The addition waits for the norm that follows, which
/// does both in one pass over memory. An empty delta stands for zero.
struct ResidualStream {
  Tensor residual, delta;  // [n, d]
};

class Block {
 public:
  Block(const ParameterTable& table, std::int64_t layer);

  /// Takes the stream before the block to the stream after it; keeps in `kept` what the backward pass needs.
  ResidualStream forward(const Pass& pass, const Tensor& weights, const ResidualStream& stream,
                         const BlockActivations& kept, const Workspace& workspace) const;

  /// Brings back what `policy` did not keep, with the same bits.
  void recompute(Recompute policy, const Pass& pass, const Tensor& weights, const BlockActivations& kept,
                 const Workspace& workspace) const;

  /// Takes workspace.d_stream from the gradient after the block to the gradient before it; adds to the
  /// gradients.
  void backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                const BlockActivations& kept, const Workspace& workspace) const;

 private:
  void forward_from_norm(const Pass& pass, const Tensor& weights, const BlockActivations& kept,
                         const Workspace& workspace) const;
  Tensor norm_of(const Tensor& unit, const Parameter& parameter) const;

  const Parameter &attention_norm_, &mlp_norm_;
  float epsilon_;
  AttentionLayer attention_;
  MlpLayer mlp_;
};

}  // namespace cola
