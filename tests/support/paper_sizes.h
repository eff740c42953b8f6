// The five models of the CoLA paper (arXiv 2502.10940), as configs/*.yaml give them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model_configuration.h"

namespace cola {

struct PaperSize {
  std::string name;
  ModelConfiguration model;
};

inline std::vector<PaperSize> paper_sizes(ProjectionKind projection) {
  const auto size = [&](std::string name, std::int64_t hidden, std::int64_t intermediate, std::int64_t layers,
                        std::int64_t heads, std::int64_t rank, bool gate) {
    ModelConfiguration model;
    model.hidden_size = hidden;
    model.intermediate_size = intermediate;
    model.num_hidden_layers = layers;
    model.num_attention_heads = model.num_key_value_heads = heads;
    model.projection = projection;
    model.rank = rank;
    model.gate_activation = gate;
    return PaperSize{std::move(name), model};
  };
  return {size("60m", 512, 1376, 8, 8, 128, true), size("130m", 768, 2048, 12, 12, 256, true),
          size("350m", 1024, 2736, 24, 16, 256, false), size("1b", 2048, 5461, 24, 32, 512, false),
          size("7b", 4096, 11008, 32, 32, 1024, false)};
}

}  // namespace cola
