// ShardedParameterStore: weights, gradients and optimizer state of one rank, as ZeRO shards them (Rajbhandari
// et al., 2020). Stage 0: every rank holds all optimizer state and gradients are all-reduced. Stage 1: each
// rank holds the fp32 weights and moments of its shard; gradients are reduce-scattered and new weights
// all-gathered.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/device.h"
#include "core/kernels/adamw.h"
#include "dist/communicator.h"
#include "dist/store_memory.h"
#include "model/parameter_store.h"
#include "model/parameter_table.h"
#include "model/shard_map.h"

namespace cola {

struct StoreOptions {
  int zero_stage = 1;
  DataType compute_type = DataType::float32;
};

class ShardedParameterStore final : public ParameterStore {
 public:
  ShardedParameterStore(Device& device, Communicator& communicator, const ParameterTable& table,
                        StoreOptions options);

  // What the model uses.
  Tensor acquire_weights(int unit) override;
  void release_weights(int unit) override;
  Tensor gradients(int unit) override;
  void gradients_ready(int unit) override;

  // What the trainer uses, in this order, each step.
  void zero_gradients();
  /// The micro-batch that begins is the step's last: units are reduced as they become ready.
  void begin_last_micro_batch();
  /// Waits for the reductions; returns the L2 norm of the whole summed gradient. Collective.
  double gradient_norm();
  /// Updates the shard and starts gathering the new weights. `parameters.gradient_scale` includes clipping.
  void update(const AdamWParameters& parameters);

  /// Initial values from the parameter table (moments 0), then gathered.
  void initialize(std::uint64_t seed);

  // The shard's state, fp32, on the device, laid out by shard_map(): for checkpoints.
  const ShardMap& shard_map() const { return shard_map_; }
  int shard() const;
  Tensor master_weights() const { return memory_.master_weights; }
  Tensor exp_avg() const { return memory_.exp_avg; }
  Tensor exp_avg_sq() const { return memory_.exp_avg_sq; }
  /// After the state was replaced from outside: rounds the weights to the compute type and gathers them.
  void publish_weights();

  /// Device bytes held.
  std::size_t bytes() const { return memory_buffer_.bytes(); }

 private:
  /// Whether the state is split over ranks, rather than whole on each.
  bool is_sharded() const { return shard_map_.shards() > 1; }
  std::int64_t unit_elements(int unit) const;
  const std::string& unit_name(int unit) const;

  // Views: of a unit's chunk [chunk_elements], of a padded unit [padded_elements].
  Tensor chunk_of(const Tensor& shard_tensor, int unit) const;
  Tensor working_chunk(int unit) const;
  Tensor padded_unit(const Tensor& all_units, int unit) const;

  std::vector<float> initial_values(const ShardRange& range, std::uint64_t seed) const;
  void start_gather(int unit);

  Device& device_;
  Communicator& communicator_;
  const ParameterTable& table_;
  StoreOptions options_;
  ShardMap shard_map_;
  Buffer memory_buffer_;
  StoreMemory memory_;
  std::vector<std::unique_ptr<PendingCollective>> reductions_;  // one a unit, null when none is under way
  std::vector<std::unique_ptr<PendingCollective>> gathers_;
  bool last_micro_batch_ = false;
};

}  // namespace cola
