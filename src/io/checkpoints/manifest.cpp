#include "io/checkpoints/manifest.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace cola {

namespace {

// The shape, with what memory holds of it where that is more.
std::string full_shape_text(const Parameter& parameter) {
  const std::string text = shape_text(parameter);
  if (parameter.stored_elements() == parameter.elements()) return text;
  return fmt::format("{} stored as [{}, {}]", text, parameter.stored_rows, parameter.stored_columns);
}

bool same_place(const Parameter& a, const Parameter& b) {
  return a.is_vector == b.is_vector && a.rows == b.rows && a.columns == b.columns &&
         a.stored_rows == b.stored_rows && a.stored_columns == b.stored_columns && a.unit == b.unit &&
         a.offset == b.offset;
}

void require_same(const Parameter& saved, const Parameter& wanted, const std::string& origin) {
  if (saved.name != wanted.name)
    throw FileError("{}: holds another model: tensor {} where the configuration has {}", origin, saved.name,
                    wanted.name);
  if (!same_place(saved, wanted))
    throw FileError("{}: holds another model: {} is {} in the checkpoint, {} in the configuration", origin,
                    saved.name, full_shape_text(saved), full_shape_text(wanted));
}

}  // namespace

std::string name_of(StateTensor tensor) {
  switch (tensor) {
    case StateTensor::weights:
      return "weights";
    case StateTensor::exp_avg:
      return "exp_avg";
    case StateTensor::exp_avg_sq:
      break;
  }
  return "exp_avg_sq";
}

std::string shape_text(const Parameter& parameter) {
  return parameter.is_vector ? fmt::format("[{}]", parameter.columns)
                             : fmt::format("[{}, {}]", parameter.rows, parameter.columns);
}

std::int64_t Manifest::total_elements() const {
  return std::accumulate(units.begin(), units.end(), std::int64_t{0},
                         [](std::int64_t sum, const Unit& unit) { return sum + unit.elements; });
}

std::uint64_t Manifest::total_bytes() const {
  return std::accumulate(shards.begin(), shards.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const ShardRecord& shard) { return sum + shard.bytes; });
}

void require_same_parameters(const Manifest& manifest, const ParameterTable& table,
                             const std::string& origin) {
  const std::size_t common = std::min(manifest.parameters.size(), table.parameters().size());
  for (std::size_t i = 0; i < common; ++i)
    require_same(manifest.parameters[i], table.parameters()[i], origin);
  if (manifest.parameters.size() > common)
    throw FileError("{}: holds another model: the configuration has no tensor {}", origin,
                    manifest.parameters[common].name);
  if (table.parameters().size() > common)
    throw FileError("{}: holds another model: it has no tensor {}", origin, table.parameters()[common].name);
}

void require_complete_shards(const Manifest& manifest, const std::string& origin) {
  std::vector<ShardRange> ranges;
  for (const ShardRecord& shard : manifest.shards)
    ranges.insert(ranges.end(), shard.ranges.begin(), shard.ranges.end());
  std::sort(ranges.begin(), ranges.end(),
            [](const ShardRange& a, const ShardRange& b) { return a.begin < b.begin; });
  std::int64_t covered = 0;
  for (const ShardRange& range : ranges) {
    if (range.begin != covered || range.end <= range.begin || range.local < 0)
      throw FileError("{}: its shards {} element {}", origin, range.begin > covered ? "lack" : "repeat",
                      std::min(covered, range.begin));
    covered = range.end;
  }
  if (covered != manifest.total_elements())
    throw FileError("{}: its shards hold {} of {} elements", origin, covered, manifest.total_elements());
}

}  // namespace cola
