// The shape of a model: Hugging Face's LLaMA fields, and how its linear layers are built.
#pragma once

#include <cstdint>
#include <string>

namespace cola {

/// full: y = W x. cola: y = B silu(A x), A [rank, in], B [out, rank] (arXiv 2502.10940).
enum class ProjectionKind { full, cola };

/// What a forward pass keeps for the backward pass. none: nothing is recomputed; cola_m: the wide activations
/// are, from the kept rank-wide ones (CoLA-M); block: everything is, from each block's input (gradient
/// checkpointing).
enum class Recompute { none, cola_m, block };

struct ModelConfiguration {
  std::int64_t vocab_size = 32000;
  std::int64_t hidden_size = 512;
  std::int64_t intermediate_size = 1376;
  std::int64_t num_hidden_layers = 8;
  std::int64_t num_attention_heads = 8;
  std::int64_t num_key_value_heads = 8;
  std::int64_t max_position_embeddings = 1024;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  ProjectionKind projection = ProjectionKind::cola;
  std::int64_t rank = 128;
  /// Whether a CoLA block keeps SwiGLU's own SiLU; full-rank models always keep it.
  bool gate_activation = false;

  std::int64_t head_dim() const { return hidden_size / num_attention_heads; }
  std::int64_t kv_width() const { return num_key_value_heads * head_dim(); }
  bool gate_has_silu() const { return projection == ProjectionKind::full || gate_activation; }

  bool operator==(const ModelConfiguration&) const = default;
};

/// What a tensor of `width` columns occupies: rows of bf16 that are no multiple of 16 bytes are slow on GPUs,
/// so such a width is rounded up to the next multiple of 64 (5461 is stored as 5504); others are stored as
/// they are.
constexpr std::int64_t storage_width(std::int64_t width) {
  return width % 8 == 0 ? width : (width + 63) / 64 * 64;
}

/// The first thing wrong with a configuration: `key` is the field's name, `problem` says what and how to mend
/// it. Both are empty when all is well.
struct ConfigurationProblem {
  std::string key, problem;
};
ConfigurationProblem find_problem(const ModelConfiguration& configuration);

}  // namespace cola
