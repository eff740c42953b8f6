#include "model/model_configuration.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <utility>

namespace cola {

namespace {

// Sizes fit an int32, so that the product of two never overflows.
constexpr std::int64_t largest_size = std::numeric_limits<std::int32_t>::max();

ConfigurationProblem find_size_problem(const ModelConfiguration& c) {
  const std::pair<const char*, std::int64_t> sizes[] = {
      {"vocab_size", c.vocab_size},
      {"hidden_size", c.hidden_size},
      {"intermediate_size", c.intermediate_size},
      {"num_hidden_layers", c.num_hidden_layers},
      {"num_attention_heads", c.num_attention_heads},
      {"num_key_value_heads", c.num_key_value_heads},
      {"max_position_embeddings", c.max_position_embeddings},
      {"rank", c.rank}};
  for (const auto& [key, size] : sizes) {
    if (size < 1) return {key, fmt::format("must be at least 1, got {}", size)};
    if (size > largest_size) return {key, fmt::format("must be at most {}, got {}", largest_size, size)};
  }
  for (const auto& [key, value] : {std::pair{"rms_norm_eps", c.rms_norm_eps}, {"rope_theta", c.rope_theta}})
    if (!(value > 0) || !std::isfinite(value))
      return {key, fmt::format("must be greater than 0, got {}", value)};
  return {};
}

// The table of parameters has an entry for each, and their bytes are counted in 64 bits.
ConfigurationProblem find_total_problem(const ModelConfiguration& c) {
  constexpr std::int64_t most_layers = 65536;
  constexpr double most_parameters = 1e14;
  if (c.num_hidden_layers > most_layers)
    return {"num_hidden_layers", fmt::format("must be at most {}, got {}", most_layers, c.num_hidden_layers)};
  const auto d = static_cast<double>(c.hidden_size), f = static_cast<double>(c.intermediate_size);
  const double embeddings = 2 * d * static_cast<double>(c.vocab_size);
  const auto layers = static_cast<double>(c.num_hidden_layers), rank = static_cast<double>(c.rank);
  const double blocks =
      layers * (c.projection == ProjectionKind::full ? 4 * d * d + 3 * d * f : rank * (11 * d + 3 * f));
  if (embeddings + blocks <= most_parameters) return {};
  return {
      embeddings > blocks ? "vocab_size" : "hidden_size",
      fmt::format("these sizes give a model of {:.1e} parameters, more than the {:.0e} that can be counted",
                  embeddings + blocks, most_parameters)};
}

}  // namespace

ConfigurationProblem find_problem(const ModelConfiguration& c) {
  if (ConfigurationProblem problem = find_size_problem(c); !problem.key.empty()) return problem;
  if (c.hidden_size % 8 != 0)
    return {"hidden_size", fmt::format("must be a multiple of 8 (aligned rows), got {}", c.hidden_size)};
  if (c.hidden_size % c.num_attention_heads != 0)
    return {"num_attention_heads",
            fmt::format("must divide hidden_size ({}), got {}", c.hidden_size, c.num_attention_heads)};
  if (c.head_dim() % 8 != 0)
    return {"num_attention_heads",
            fmt::format("hidden_size / num_attention_heads must be a multiple of 8, got {} / {} = {}",
                        c.hidden_size, c.num_attention_heads, c.head_dim())};
  if (c.num_attention_heads % c.num_key_value_heads != 0)
    return {"num_key_value_heads", fmt::format("must divide num_attention_heads ({}), got {}",
                                               c.num_attention_heads, c.num_key_value_heads)};
  if (c.projection == ProjectionKind::cola && c.rank > c.hidden_size)
    return {"rank", fmt::format("must not exceed hidden_size ({}), got {}", c.hidden_size, c.rank)};
  return find_total_problem(c);
}

}  // namespace cola
