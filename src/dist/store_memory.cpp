#include "dist/store_memory.h"

namespace cola {

StoreMemory allocate_store(Arena& arena, const ShardMap& map, DataType compute_type) {
  const std::int64_t all = map.padded_total(), shard = map.shard_elements();
  const DataType fp32 = DataType::float32;
  StoreMemory memory;
  memory.working = arena.allocate(MemoryUse::weights, compute_type, {all});
  memory.gradients = arena.allocate(MemoryUse::gradients, fp32, {all});
  memory.master_weights = arena.allocate(MemoryUse::optimizer, fp32, {shard});
  memory.exp_avg = arena.allocate(MemoryUse::optimizer, fp32, {shard});
  memory.exp_avg_sq = arena.allocate(MemoryUse::optimizer, fp32, {shard});
  memory.reduced_gradient =
      map.shards() > 1 ? arena.allocate(MemoryUse::communication, fp32, {shard}) : memory.gradients;
  return memory;
}

}  // namespace cola
