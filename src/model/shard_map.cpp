#include "model/shard_map.h"

#include <algorithm>

#include "core/divide_up.h"
#include "core/error.h"

namespace cola {

namespace {
constexpr std::int64_t chunk_alignment = 64;
}

ShardMap::ShardMap(const ParameterTable& table, int shards) : shards_(shards) {
  if (shards < 1) throw Error("parameters cannot be split into {} shards", shards);
  for (const Unit& unit : table.units()) {
    unit_elements_.push_back(unit.elements);
    unit_offsets_.push_back(unit.offset);
  }
}

std::int64_t ShardMap::chunk_elements(int unit) const {
  return divide_up(unit_elements_[static_cast<std::size_t>(unit)], chunk_alignment * shards_) *
         chunk_alignment;
}

std::int64_t ShardMap::padded_elements(int unit) const {
  return chunk_elements(unit) * shards_;
}

std::int64_t ShardMap::local_offset(int unit) const {
  std::int64_t offset = 0;
  for (int earlier = 0; earlier < unit; ++earlier) offset += chunk_elements(earlier);
  return offset;
}

std::vector<ShardRange> ShardMap::ranges(int shard) const {
  std::vector<ShardRange> result;
  for (int unit = 0; unit < units(); ++unit) {
    const std::int64_t elements = unit_elements_[static_cast<std::size_t>(unit)];
    const std::int64_t begin = std::min(elements, chunk_elements(unit) * shard);
    const std::int64_t end = std::min(elements, chunk_elements(unit) * (shard + 1));
    const std::int64_t offset = unit_offsets_[static_cast<std::size_t>(unit)];
    if (begin < end) result.push_back({offset + begin, offset + end, local_offset(unit)});
  }
  return result;
}

}  // namespace cola
