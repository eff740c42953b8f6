#include "io/checkpoints/checkpoint_compare.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <span>
#include <string_view>

namespace cola {

namespace {

const Parameter* find(const Manifest& manifest, std::string_view name) {
  const auto found = std::find_if(manifest.parameters.begin(), manifest.parameters.end(),
                                  [&](const Parameter& parameter) { return parameter.name == name; });
  return found == manifest.parameters.end() ? nullptr : &*found;
}

void compare_values(std::span<const float> a, std::span<const float> b, TensorDifference& difference) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(a[i]) == std::bit_cast<std::uint32_t>(b[i])) continue;
    ++difference.elements;
    const double distance = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (std::isnan(distance) || std::isnan(difference.max_difference))
      difference.max_difference = std::numeric_limits<double>::quiet_NaN();
    else
      difference.max_difference = std::max(difference.max_difference, distance);
  }
}

void compare_parameter(CheckpointReader& a, CheckpointReader& b, const Parameter& parameter,
                       std::vector<TensorDifference>& differences) {
  const Parameter* other = find(b.manifest(), parameter.name);
  const bool same_shape = other && other->rows == parameter.rows && other->columns == parameter.columns &&
                          other->is_vector == parameter.is_vector;
  if (!same_shape) {
    const std::string reason =
        other ? shape_text(parameter) + " against " + shape_text(*other) : "is in the first checkpoint only";
    differences.push_back({parameter.name, StateTensor::weights, reason, 0, 0});
    return;
  }
  for (const StateTensor tensor : all_state_tensors) {
    TensorDifference difference{parameter.name, tensor, "", 0, 0};
    compare_values(a.read_tensor(parameter, tensor), b.read_tensor(*other, tensor), difference);
    if (difference.elements > 0) differences.push_back(difference);
  }
}

double norm(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

}  // namespace

std::vector<TensorDifference> compare_checkpoints(CheckpointReader& a, CheckpointReader& b) {
  std::vector<TensorDifference> differences;
  for (const Parameter& parameter : a.manifest().parameters) compare_parameter(a, b, parameter, differences);
  for (const Parameter& parameter : b.manifest().parameters)
    if (!find(a.manifest(), parameter.name))
      differences.push_back({parameter.name, StateTensor::weights, "is in the second checkpoint only", 0, 0});
  return differences;
}

TensorNorms tensor_norms(CheckpointReader& reader, const Parameter& parameter) {
  const auto norm_of = [&](StateTensor tensor) { return norm(reader.read_tensor(parameter, tensor)); };
  return {norm_of(StateTensor::weights), norm_of(StateTensor::exp_avg), norm_of(StateTensor::exp_avg_sq)};
}

}  // namespace cola
