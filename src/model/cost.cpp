#include "model/cost.h"

#include "model/parameter_table.h"

namespace cola {

double training_operations_per_token(const ModelConfiguration& configuration, std::int64_t sequence_length) {
  double matrix_elements = 0;
  const ParameterTable table(configuration);
  for (const Parameter& parameter : table.parameters())
    if (!parameter.is_vector && parameter.name != "model.embed_tokens.weight")
      matrix_elements += static_cast<double>(parameter.elements());
  const auto layers = static_cast<double>(configuration.num_hidden_layers);
  const auto width = static_cast<double>(configuration.hidden_size);
  return 6.0 * matrix_elements + layers * 6.0 * width * static_cast<double>(sequence_length + 1);
}

}  // namespace cola
