#include "model/attention_layer.h"

#include "core/kernels/rope.h"

namespace cola {

AttentionLayer::AttentionLayer(const ParameterTable& table, const std::string& prefix)
    : heads_(table.configuration().num_attention_heads),
      kv_heads_(table.configuration().num_key_value_heads),
      head_dim_(table.configuration().head_dim()),
      qkv_(table, {prefix + "self_attn.q_proj", prefix + "self_attn.k_proj", prefix + "self_attn.v_proj"}),
      output_(table, {prefix + "self_attn.o_proj"}) {}

AttentionShape AttentionLayer::shape(const Pass& pass) const {
  return {pass.batch, pass.sequence, heads_, kv_heads_, head_dim_};
}

AttentionInputs AttentionLayer::parts_of(const Tensor& qkv, std::int64_t rows) const {
  return {qkv_.part(qkv, rows, 0), qkv_.part(qkv, rows, 1), qkv_.part(qkv, rows, 2)};
}

void AttentionLayer::rotate(const Pass& pass, const Tensor& qkv) const {
  for (const std::int64_t part : {0, 1})
    pass.device.rope().rotate(qkv_.part(qkv, pass.rows(), part), pass.rotation, Rotation::forward);
}

// Of CoLA: queries, keys and values, the former two rotated.
void AttentionLayer::widen(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const {
  const NarrowActivations narrow{kept.qkv_pre, kept.qkv_split};
  if (qkv_.uniform()) {
    qkv_.apply_b_rotated(pass.device, weights, narrow, pass.rotation, 2, kept.qkv);
  } else {
    qkv_.apply_b(pass.device, weights, narrow, kept.qkv);
    rotate(pass, kept.qkv);
  }
}

void AttentionLayer::forward(const Pass& pass, const Tensor& weights, const BlockActivations& kept) const {
  const std::int64_t n = pass.rows();
  const NarrowActivations narrow{kept.qkv_pre, kept.qkv_split};
  if (qkv_.is_cola()) {
    qkv_.apply_a(pass.device, weights, kept.attention_norm, narrow);
    widen(pass, weights, kept);
  } else {
    qkv_.forward(pass.device, weights, kept.attention_norm, narrow, kept.qkv);
    rotate(pass, kept.qkv);
  }
  pass.device.attention().forward(shape(pass), parts_of(kept.qkv, n), {kept.attention_out, kept.log_sum_exp});
  output_.forward_added(pass.device, weights, kept.attention_out, {kept.output_pre, kept.output_split},
                        kept.input, kept.middle);
}

void AttentionLayer::recompute_wide(const Pass& pass, const Tensor& weights,
                                    const BlockActivations& kept) const {
  const NarrowActivations narrow{kept.qkv_pre, kept.qkv_split};
  qkv_.restore_split(pass.device, narrow);
  widen(pass, weights, kept);
  output_.restore_split(pass.device, {kept.output_pre, kept.output_split});
}

void AttentionLayer::backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                              const BlockActivations& kept, const Workspace& workspace,
                              const NormBackward& norm) const {
  const std::int64_t n = pass.rows();
  output_.backward(pass.device, weights, gradients, kept.attention_out, {kept.output_pre, kept.output_split},
                   workspace.d_stream, workspace.projection, workspace.d_attention);
  const auto [dq, dk, dv] = parts_of(workspace.d_qkv, n);
  pass.device.attention().backward(shape(pass), parts_of(kept.qkv, n), {kept.attention_out, kept.log_sum_exp},
                                   workspace.d_attention, pass.rotation, {dq, dk, dv});
  qkv_.backward_through_norm(pass.device, weights, gradients, kept.attention_norm,
                             {kept.qkv_pre, kept.qkv_split}, workspace.d_qkv, workspace.projection,
                             workspace.d_norm, norm);
}

}  // namespace cola
