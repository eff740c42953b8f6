#include "train/checkpoints/loaded_weights.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/kernels/reduce.h"

namespace cola {

LoadedWeights::LoadedWeights(Device& device, CheckpointReader& checkpoint, const ParameterTable& table,
                             DataType type)
    : table_(table),
      map_(table, 1),
      type_(type),
      weights_(device, static_cast<std::size_t>(map_.padded_total()) * size_of(type)) {
  std::int64_t largest = 0;
  for (const Unit& unit : table.units()) largest = std::max(largest, unit.elements);
  std::vector<float> values(static_cast<std::size_t>(largest));
  const Buffer staging(device, values.size() * sizeof(float));
  for (int unit = 0; unit < map_.units(); ++unit) {
    const Tensor weights = acquire_weights(unit),
                 read = staging.tensor(DataType::float32, weights.elements());
    const std::int64_t first = table.units()[static_cast<std::size_t>(unit)].offset;
    const ShardRange range{first, first + weights.elements(), 0};
    checkpoint.read(StateTensor::weights, std::span(&range, 1), values);
    device.copy_from_host(read.data(), values.data(), read.bytes());
    device.reduce().convert(read, weights);
  }
  device.synchronize();
}

Tensor LoadedWeights::acquire_weights(int unit) {
  const std::int64_t elements = table_.units()[static_cast<std::size_t>(unit)].elements;
  return weights_.tensor(type_, map_.padded_total()).view(map_.padded_offset(unit), {elements});
}

Tensor LoadedWeights::gradients(int) {
  throw Error("weights that were loaded to compute with have no gradients");
}

void LoadedWeights::gradients_ready(int unit) {
  gradients(unit);
}

}  // namespace cola
