#include "dist/store_memory.h"

#include <algorithm>

namespace cola {

namespace {

std::int64_t largest_unit(const ShardMap& map) {
  std::int64_t largest = 0;
  for (int unit = 0; unit < map.units(); ++unit) largest = std::max(largest, map.padded_elements(unit));
  return largest;
}

}  // namespace

ShardMap shard_map_of(const ParameterTable& table, int zero_stage, int ranks) {
  return ShardMap(table, zero_stage > 0 ? ranks : 1);
}

StoreMemory allocate_store(Arena& arena, const ShardMap& map, const StoreOptions& options) {
  const std::int64_t all = map.padded_total(), shard = map.shard_elements();
  const DataType fp32 = DataType::float32;
  const bool splits = map.shards() > 1;
  const bool splits_gradients = splits && options.zero_stage >= 2;
  const bool splits_weights = splits && options.zero_stage >= 3;
  StoreMemory memory;
  memory.working = arena.allocate(MemoryUse::weights, options.compute_type, {splits_weights ? shard : all});
  memory.gradients = arena.allocate(MemoryUse::gradients, fp32, {splits_gradients ? shard : all});
  memory.master_weights = arena.allocate(MemoryUse::optimizer, fp32, {shard});
  memory.exp_avg = arena.allocate(MemoryUse::optimizer, fp32, {shard});
  memory.exp_avg_sq = arena.allocate(MemoryUse::optimizer, fp32, {shard});
  memory.reduced_gradient = splits && !splits_gradients
                                ? arena.allocate(MemoryUse::communication, fp32, {shard})
                                : memory.gradients;
  if (splits_gradients)
    memory.gradient_slots = arena.allocate(MemoryUse::communication, fp32, {unit_slots, largest_unit(map)});
  if (splits_weights)
    memory.weight_slots =
        arena.allocate(MemoryUse::communication, options.compute_type, {unit_slots, largest_unit(map)});
  return memory;
}

}  // namespace cola
