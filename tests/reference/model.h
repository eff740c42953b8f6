// Reference of the whole model, in double: forward pass and losses of a LLaMA with full-rank or CoLA
// projections, composed of the reference kernels. Its gradients are the central finite differences of
// sum_of_losses.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "model/model_configuration.h"
#include "reference/activation.h"
#include "reference/attention.h"
#include "reference/cross_entropy.h"
#include "reference/embedding.h"
#include "reference/matmul.h"
#include "reference/norm.h"
#include "reference/rope.h"

namespace cola::reference {

/// Weights by name (model/parameter_table.h), in their logical shapes, without padding.
using Weights = std::map<std::string, std::vector<double>>;

struct ModelResult {
  std::vector<double> logits, token_losses;  // [batch, sequence, vocab_size], [batch, sequence]
  double loss_sum() const { return std::accumulate(token_losses.begin(), token_losses.end(), 0.0); }
};

class Model {
 public:
  Model(const ModelConfiguration& configuration, const Weights& weights, std::int64_t batch,
        std::int64_t sequence)
      : configuration_(configuration), weights_(weights), batch_(batch), sequence_(sequence) {
    for (const double angle : rope_angles(sequence, configuration.head_dim(), configuration.rope_theta)) {
      cosines_.push_back(std::cos(angle));
      sines_.push_back(std::sin(angle));
    }
  }

  /// ids and targets [batch, sequence].
  ModelResult run(std::span<const std::int32_t> ids, std::span<const std::int32_t> targets) const {
    std::vector<double> x = embedding_forward(configuration_.hidden_size, ids, weight("model.embed_tokens"));
    for (std::int64_t layer = 0; layer < configuration_.num_hidden_layers; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      add(attention(prefix + "self_attn.", norm(prefix + "input_layernorm", x)), x);
      add(mlp(prefix + "mlp.", norm(prefix + "post_attention_layernorm", x)), x);
    }
    const std::int64_t vocabulary = configuration_.vocab_size;
    ModelResult result;
    result.logits = linear(weight("lm_head"), vocabulary, norm("model.norm", x));
    result.token_losses = cross_entropy(vocabulary, vocabulary, result.logits, targets).losses;
    return result;
  }

 private:
  std::int64_t rows() const { return batch_ * sequence_; }
  const std::vector<double>& weight(const std::string& name) const { return weights_.at(name + ".weight"); }

  static void add(const std::vector<double>& delta, std::vector<double>& x) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += delta[i];
  }

  std::vector<double> norm(const std::string& name, const std::vector<double>& x) const {
    return norm_forward(rows(), configuration_.hidden_size, x, weight(name), configuration_.rms_norm_eps).y;
  }

  // x [rows, in] times the transpose of matrix [out, in].
  std::vector<double> linear(const std::vector<double>& matrix, std::int64_t out,
                             const std::vector<double>& x) const {
    const auto in = static_cast<std::int64_t>(x.size()) / rows();
    return multiply({1, rows(), out, in}, x, Transpose::no, matrix, Transpose::yes);
  }

  // W x, or B silu(A x).
  std::vector<double> project(const std::string& name, std::int64_t out, const std::vector<double>& x) const {
    if (configuration_.projection == ProjectionKind::full) return linear(weight(name), out, x);
    std::vector<double> narrow = linear(weights_.at(name + ".cola_a"), configuration_.rank, x);
    std::transform(narrow.begin(), narrow.end(), narrow.begin(), silu);
    return linear(weights_.at(name + ".cola_b"), out, narrow);
  }

  std::vector<double> rotated(std::int64_t heads, const std::vector<double>& x) const {
    return rotate({batch_, sequence_, heads, configuration_.head_dim()}, x, cosines_, sines_,
                  Rotation::forward);
  }

  std::vector<double> attention(const std::string& prefix, const std::vector<double>& x) const {
    const ModelConfiguration& c = configuration_;
    const auto q = rotated(c.num_attention_heads, project(prefix + "q_proj", c.hidden_size, x));
    const auto k = rotated(c.num_key_value_heads, project(prefix + "k_proj", c.kv_width(), x));
    const auto v = project(prefix + "v_proj", c.kv_width(), x);
    const AttentionShape shape{batch_, sequence_, c.num_attention_heads, c.num_key_value_heads, c.head_dim()};
    return project(prefix + "o_proj", c.hidden_size, attention_forward(shape, q, k, v).out);
  }

  std::vector<double> mlp(const std::string& prefix, const std::vector<double>& x) const {
    const auto gate = project(prefix + "gate_proj", configuration_.intermediate_size, x);
    const auto up = project(prefix + "up_proj", configuration_.intermediate_size, x);
    const auto activation = configuration_.gate_has_silu() ? GateActivation::silu : GateActivation::none;
    return project(prefix + "down_proj", configuration_.hidden_size, gate_product(activation, gate, up));
  }

  const ModelConfiguration& configuration_;
  const Weights& weights_;
  std::int64_t batch_, sequence_;
  std::vector<double> cosines_, sines_;
};

/// Sum over the tokens of the losses: what a model's gradients are gradients of.
inline double sum_of_losses(const ModelConfiguration& configuration, const Weights& weights,
                            std::int64_t batch, std::span<const std::int32_t> ids,
                            std::span<const std::int32_t> targets) {
  const auto sequence = static_cast<std::int64_t>(ids.size()) / batch;
  return Model(configuration, weights, batch, sequence).run(ids, targets).loss_sum();
}

/// d sum_of_losses / d weights.at(name)[element], by a central finite difference.
inline double loss_gradient(const ModelConfiguration& configuration, Weights weights, const std::string& name,
                            std::size_t element, std::int64_t batch, std::span<const std::int32_t> ids,
                            std::span<const std::int32_t> targets, double step = 1e-5) {
  double& value = weights.at(name)[element];
  const double kept = value;
  value = kept + step;
  const double above = sum_of_losses(configuration, weights, batch, ids, targets);
  value = kept - step;
  return (above - sum_of_losses(configuration, weights, batch, ids, targets)) / (2 * step);
}

}  // namespace cola::reference
