// AttentionLayer: queries, keys and values, rotation, causal attention, output projection. Forward and
// backward.
#pragma once

#include <string>

#include "core/kernels/attention.h"
#include "model/activations.h"
#include "model/projection.h"

namespace cola {

class AttentionLayer {
 public:
  /// `prefix` is the block's, as in "model.layers.0.".
  AttentionLayer(const ParameterTable& table, const std::string& prefix);

  /// Reads kept.attention_norm; writes what the backward pass needs, and kept.middle = kept.input + the
  /// layer's output.
  void forward(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const;

  /// qkv and both SiLUs again, from what stands before the SiLU alone.
  void recompute_wide(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const;

  /// Adds to workspace.d_stream, the gradient of the output, that of what the norm before the layer read,
  /// which `norm` says; adds to the gradients.
  void backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                const BlockActivations& kept, const Workspace& workspace, const NormBackward& norm) const;

 private:
  AttentionShape shape(const Pass& pass) const;
  AttentionInputs parts_of(const Tensor& qkv, std::int64_t rows) const;
  void rotate(const Pass& pass, const Tensor& qkv) const;
  void widen(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const;

  std::int64_t heads_, kv_heads_, head_dim_;
  Projection qkv_, output_;
};

}  // namespace cola
