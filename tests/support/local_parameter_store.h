// LocalParameterStore: all weights and gradients of a model in one place, for tests of the model alone.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/device.h"
#include "core/kernels/reduce.h"
#include "model/parameter_store.h"
#include "model/parameter_table.h"

namespace cola {

class LocalParameterStore final : public ParameterStore {
 public:
  LocalParameterStore(Device& device, const ParameterTable& table, DataType compute_type)
      : device_(device),
        table_(table),
        type_(compute_type),
        weights_(device, static_cast<std::size_t>(table.stored_elements()) * size_of(compute_type)),
        gradients_(device, static_cast<std::size_t>(table.stored_elements()) * sizeof(float)) {
    device.fill_bytes(weights_.data(), 0, weights_.bytes());
    zero_gradients();
  }

  Tensor acquire_weights(int unit) override {
    return unit_of(weights_.tensor(type_, table_.stored_elements()), unit);
  }
  void release_weights(int) override {}
  Tensor gradients(int unit) override {
    return unit_of(gradients_.tensor(DataType::float32, table_.stored_elements()), unit);
  }
  void gradients_ready(int unit) override { ++ready[unit]; }
  bool next_pass_is_local() const override { return true; }

  void zero_gradients() { device_.fill_bytes(gradients_.data(), 0, gradients_.bytes()); }

  /// Sets a parameter from its logical elements; the padding is zero.
  void set(const Parameter& parameter, const std::vector<float>& logical) {
    std::vector<float> stored(static_cast<std::size_t>(parameter.stored_elements()), 0.0f);
    for (std::int64_t row = 0; row < parameter.rows; ++row)
      for (std::int64_t column = 0; column < parameter.columns; ++column)
        stored[static_cast<std::size_t>(row * parameter.stored_columns + column)] =
            logical[static_cast<std::size_t>(row * parameter.columns + column)];
    upload(parameter, stored);
  }

  void initialize_all(std::uint64_t seed) {
    for (const Parameter& parameter : table_.parameters()) {
      std::vector<float> stored(static_cast<std::size_t>(parameter.stored_elements()));
      initialize(parameter, seed, 0, stored);
      upload(parameter, stored);
    }
  }

  /// The stored gradient of a parameter, padding included.
  std::vector<float> stored_gradient(const Parameter& parameter) {
    std::vector<float> values(static_cast<std::size_t>(parameter.stored_elements()));
    const Tensor tensor = gradients(parameter.unit).view(parameter.offset, {parameter.stored_elements()});
    device_.copy_to_host(values.data(), tensor.data(), tensor.bytes());
    return values;
  }

  /// The gradient of a parameter in its logical shape.
  std::vector<double> gradient(const Parameter& parameter) {
    const std::vector<float> stored = stored_gradient(parameter);
    std::vector<double> logical;
    for (std::int64_t row = 0; row < parameter.rows; ++row)
      for (std::int64_t column = 0; column < parameter.columns; ++column)
        logical.push_back(stored[static_cast<std::size_t>(row * parameter.stored_columns + column)]);
    return logical;
  }

  std::map<int, int> ready;  // how often each unit was declared ready

 private:
  Tensor unit_of(const Tensor& all, int unit) const {
    const Unit& described = table_.units()[static_cast<std::size_t>(unit)];
    return all.view(described.offset, {described.elements});
  }

  void upload(const Parameter& parameter, std::vector<float>& stored) {
    Buffer staging(device_, stored.size() * sizeof(float));
    device_.copy_from_host(staging.data(), stored.data(), staging.bytes());
    device_.reduce().convert(
        staging.tensor(DataType::float32, parameter.stored_elements()),
        acquire_weights(parameter.unit).view(parameter.offset, {parameter.stored_elements()}));
    device_.synchronize();
  }

  Device& device_;
  const ParameterTable& table_;
  DataType type_;
  Buffer weights_, gradients_;
};

}  // namespace cola
