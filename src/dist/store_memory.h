// StoreMemory: the device memory of a ShardedParameterStore, allocated in one sequence: with a counting
// arena, the plan; otherwise the run.
#pragma once

#include "core/arena.h"
#include "core/tensor.h"
#include "model/shard_map.h"

namespace cola {

/// Flat tensors, laid out as the shard map says.
struct StoreMemory {
  Tensor working;         // all units [padded_total], compute type
  Tensor gradients;       // all units [padded_total], fp32
  Tensor master_weights;  // this and the following: the shard [shard_elements], fp32
  Tensor exp_avg, exp_avg_sq;
  Tensor reduced_gradient;  // what arrives from the reduce-scatter; unsharded, the gradients themselves
};

StoreMemory allocate_store(Arena& arena, const ShardMap& map, DataType compute_type);

}  // namespace cola
