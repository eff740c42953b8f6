// ParameterTable: the ordered list of a model's tensors. Initialisation, optimizer, sharding, checkpoint,
// export and planner read this table and nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/model_configuration.h"

namespace cola {

/// One logical tensor [rows, columns] (a vector has rows = 1), stored with padding of zeros as
/// [stored_rows, stored_columns] at `offset` inside its unit.
struct Parameter {
  std::string name;  // as Hugging Face names it, with .cola_a and .cola_b for the factors
  std::int64_t rows = 1, columns = 1;
  std::int64_t stored_rows = 1, stored_columns = 1;
  /// Initial values: normal with this standard deviation, or all ones where it is 0.
  double standard_deviation = 0;
  int unit = 0;
  std::int64_t offset = 0;  // elements from the unit's start
  bool is_vector = false;

  std::int64_t elements() const { return rows * columns; }
  std::int64_t stored_elements() const { return stored_rows * stored_columns; }
};

/// A unit is what is sharded, gathered and reduced together: the embedding, one block, or the head (with
/// final norm).
struct Unit {
  std::string name;
  std::int64_t offset = 0;    // elements before it in the flat space of all stored parameters
  std::int64_t elements = 0;  // stored, padding of tensors included
  int first_parameter = 0, last_parameter = 0;  // parameters [first, last)
};

class ParameterTable {
 public:
  explicit ParameterTable(const ModelConfiguration& configuration);

  const std::vector<Parameter>& parameters() const { return parameters_; }
  const std::vector<Unit>& units() const { return units_; }
  const ModelConfiguration& configuration() const { return configuration_; }

  /// The parameter called `name`. Throws Error if there is none.
  const Parameter& find(std::string_view name) const;
  /// Number of logical parameters (what papers count), and of stored elements (what memory holds).
  std::int64_t logical_elements() const;
  std::int64_t stored_elements() const;

 private:
  void begin_unit(const std::string& name);
  void add_vector(const std::string& name, std::int64_t width);
  void add_matrix(const std::string& name, std::int64_t rows, std::int64_t columns,
                  double standard_deviation);
  void add_projections(const std::vector<std::string>& names, std::int64_t in,
                       const std::vector<std::int64_t>& outs);
  void add_block(std::int64_t layer);

  ModelConfiguration configuration_;
  std::vector<Parameter> parameters_;
  std::vector<Unit> units_;
};

/// Writes the initial values of a parameter's stored elements from `begin` on, as many as `values` has room
/// for: normal or ones, zeros in the padding. They depend on (seed, name, element) alone, so that all threads
/// draw at once.
void initialize(const Parameter& parameter, std::uint64_t seed, std::int64_t begin, std::span<float> values);

}  // namespace cola
