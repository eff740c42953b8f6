#include "model/parameter_table.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/philox.h"

namespace cola {

namespace {

constexpr double dense_standard_deviation = 0.02;

// CoLA's initialisation of both factors: r^(-1/4) (in + out)^(-1/4).
double factor_standard_deviation(std::int64_t rank, std::int64_t in, std::int64_t out) {
  return std::pow(static_cast<double>(rank), -0.25) * std::pow(static_cast<double>(in + out), -0.25);
}

}  // namespace

ParameterTable::ParameterTable(const ModelConfiguration& configuration) : configuration_(configuration) {
  begin_unit("embedding");
  add_matrix("model.embed_tokens.weight", configuration.vocab_size, configuration.hidden_size,
             dense_standard_deviation);
  for (std::int64_t layer = 0; layer < configuration.num_hidden_layers; ++layer) add_block(layer);
  begin_unit("head");
  add_vector("model.norm.weight", configuration.hidden_size);
  add_matrix("lm_head.weight", configuration.vocab_size, configuration.hidden_size, dense_standard_deviation);
}

void ParameterTable::add_block(std::int64_t layer) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const std::int64_t width = configuration_.hidden_size, kv_width = configuration_.kv_width();
  const std::int64_t intermediate = configuration_.intermediate_size;
  begin_unit("layer " + std::to_string(layer));
  add_vector(prefix + "input_layernorm.weight", width);
  add_projections({prefix + "self_attn.q_proj", prefix + "self_attn.k_proj", prefix + "self_attn.v_proj"},
                  width, {width, kv_width, kv_width});
  add_projections({prefix + "self_attn.o_proj"}, width, {width});
  add_vector(prefix + "post_attention_layernorm.weight", width);
  add_projections({prefix + "mlp.gate_proj", prefix + "mlp.up_proj"}, width, {intermediate, intermediate});
  add_projections({prefix + "mlp.down_proj"}, intermediate, {width});
}

// Projections that read the same input: their A factors lie side by side and are multiplied as one matrix.
void ParameterTable::add_projections(const std::vector<std::string>& names, std::int64_t in,
                                     const std::vector<std::int64_t>& outs) {
  if (configuration_.projection == ProjectionKind::full) {
    for (std::size_t i = 0; i < names.size(); ++i)
      add_matrix(names[i] + ".weight", outs[i], in, dense_standard_deviation);
    return;
  }
  const std::int64_t rank = configuration_.rank;
  for (std::size_t i = 0; i < names.size(); ++i)
    add_matrix(names[i] + ".cola_a", rank, in, factor_standard_deviation(rank, in, outs[i]));
  for (std::size_t i = 0; i < names.size(); ++i)
    add_matrix(names[i] + ".cola_b", outs[i], rank, factor_standard_deviation(rank, in, outs[i]));
}

void ParameterTable::begin_unit(const std::string& name) {
  const int first = static_cast<int>(parameters_.size());
  units_.push_back({name, stored_elements(), 0, first, first});
}

void ParameterTable::add_vector(const std::string& name, std::int64_t width) {
  add_matrix(name, 1, width, 0.0);
  parameters_.back().is_vector = true;
  parameters_.back().stored_rows = 1;
  units_.back().elements = parameters_.back().offset + parameters_.back().stored_elements();
}

void ParameterTable::add_matrix(const std::string& name, std::int64_t rows, std::int64_t columns,
                                double standard_deviation) {
  Parameter parameter;
  parameter.name = name;
  parameter.rows = rows;
  parameter.columns = columns;
  parameter.stored_rows = storage_width(rows);
  parameter.stored_columns = storage_width(columns);
  parameter.standard_deviation = standard_deviation;
  parameter.unit = static_cast<int>(units_.size()) - 1;
  parameter.offset = units_.back().elements;
  parameters_.push_back(parameter);
  units_.back().elements += parameter.stored_elements();
  units_.back().last_parameter = static_cast<int>(parameters_.size());
}

const Parameter& ParameterTable::find(std::string_view name) const {
  const auto found = std::find_if(parameters_.begin(), parameters_.end(),
                                  [&](const Parameter& parameter) { return parameter.name == name; });
  if (found == parameters_.end()) throw Error("the model has no parameter called {}", name);
  return *found;
}

std::int64_t ParameterTable::logical_elements() const {
  return std::accumulate(
      parameters_.begin(), parameters_.end(), std::int64_t{0},
      [](std::int64_t sum, const Parameter& parameter) { return sum + parameter.elements(); });
}

std::int64_t ParameterTable::stored_elements() const {
  return std::accumulate(units_.begin(), units_.end(), std::int64_t{0},
                         [](std::int64_t sum, const Unit& unit) { return sum + unit.elements; });
}

void initialize(const Parameter& parameter, std::uint64_t seed, std::int64_t begin, std::span<float> values) {
  const std::uint64_t key = philox_key(seed, parameter.name);
  const std::int64_t end = begin + static_cast<std::int64_t>(values.size());
#pragma omp parallel for schedule(static)
  for (std::int64_t element = begin; element < end; ++element) {
    const std::int64_t row = element / parameter.stored_columns, column = element % parameter.stored_columns;
    const bool padding = row >= parameter.rows || column >= parameter.columns;
    const auto logical = static_cast<std::uint64_t>(row * parameter.columns + column);
    const float value = parameter.standard_deviation == 0
                            ? 1.0f
                            : static_cast<float>(parameter.standard_deviation) * philox_normal(key, logical);
    values[static_cast<std::size_t>(element - begin)] = padding ? 0.0f : value;
  }
}

}  // namespace cola
