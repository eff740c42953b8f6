// StoreMemory: the device memory of a ShardedParameterStore, allocated in one sequence: with a counting
// arena, the plan; otherwise the run.
#pragma once

#include "core/arena.h"
#include "core/tensor.h"
#include "model/shard_map.h"

namespace cola {

/// What ranks split among themselves (Rajbhandari et al., "ZeRO", 2020). Stage 0: nothing; 1: optimizer
/// state; 2: gradients too; 3: weights too.
struct StoreOptions {
  int zero_stage = 1;
  DataType compute_type = DataType::float32;
};

/// Units whose gradients or weights exist whole at a time, where ranks split them: one computes while the
/// other is under way.
inline constexpr int unit_slots = 2;

/// How the parameters of `table` are split over `ranks` in this stage. Throws Error unless there is a rank.
ShardMap shard_map_of(const ParameterTable& table, int zero_stage, int ranks);

/// Tensors laid out as the shard map says; "shard" means [shard_elements], "all units" [padded_total].
struct StoreMemory {
  Tensor working;                              // compute type; all units, from stage 3 the shard
  Tensor gradients;                            // sums, fp32; all units, from stage 2 the shard
  Tensor master_weights, exp_avg, exp_avg_sq;  // the shard, fp32
  Tensor reduced_gradient;  // the shard, fp32; the gradients themselves unless stage 1 splits
  Tensor weight_slots;      // stage 3: [unit_slots, largest padded unit], compute type
  Tensor gradient_slots;    // from stage 2: the same in fp32
};

/// Uninitialised memory for one rank's part of `map`. Throws Error if the arena is full.
StoreMemory allocate_store(Arena& arena, const ShardMap& map, const StoreOptions& options);

}  // namespace cola
