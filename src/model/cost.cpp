#include "model/cost.h"

#include "model/parameter_table.h"

namespace cola {

namespace {

// Elements of the matrices of all blocks, or of the head.
double matrix_elements(const ParameterTable& table, bool of_blocks) {
  const int head = static_cast<int>(table.units().size()) - 1;
  double elements = 0;
  for (const Parameter& parameter : table.parameters())
    if (!parameter.is_vector && parameter.unit != 0 && (parameter.unit != head) == of_blocks)
      elements += static_cast<double>(parameter.elements());
  return elements;
}

// Causal attention of all layers, forward: each token meets (sequence + 1) / 2 others on average, in two
// products.
double attention_operations(const ModelConfiguration& configuration, std::int64_t sequence_length) {
  return 2.0 * static_cast<double>(configuration.num_hidden_layers) *
         static_cast<double>(configuration.hidden_size) * static_cast<double>(sequence_length + 1);
}

// Elements of the matrices whose products are the blocks' outputs, which nothing in the backward pass reads.
double outputs_of_blocks(const ModelConfiguration& configuration) {
  const bool cola = configuration.projection == ProjectionKind::cola;
  return static_cast<double>(configuration.num_hidden_layers * configuration.hidden_size *
                             (cola ? configuration.rank : configuration.intermediate_size));
}

}  // namespace

double training_operations_per_token(const ModelConfiguration& configuration, std::int64_t sequence_length) {
  const ParameterTable table(configuration);
  return 6.0 * (matrix_elements(table, true) + matrix_elements(table, false)) +
         3.0 * attention_operations(configuration, sequence_length);
}

double recomputed_operations_per_token(const ModelConfiguration& configuration, Recompute recompute,
                                       std::int64_t sequence_length) {
  switch (recompute) {
    case Recompute::none:
      return 0;
    case Recompute::cola_m:
      return 2.0 * static_cast<double>(configuration.num_hidden_layers) *
             static_cast<double>(configuration.rank) *
             static_cast<double>(configuration.hidden_size + 2 * configuration.kv_width() +
                                 2 * configuration.intermediate_size);
    case Recompute::block:
      return 2.0 * (matrix_elements(ParameterTable(configuration), true) - outputs_of_blocks(configuration)) +
             attention_operations(configuration, sequence_length);
  }
  return 0;
}

}  // namespace cola
