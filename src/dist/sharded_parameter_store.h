// ShardedParameterStore: weights, gradients and optimizer state of one rank, as ZeRO splits them over ranks
// (Rajbhandari et al., 2020). Stage 0: every rank holds everything and gradients are all-reduced. Stage 1:
// each rank holds the fp32 weights and moments of its shard; gradients are reduce-scattered and new weights
// all-gathered. Stage 2: sums of gradients are split too. Stage 3: and the weights that passes read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/device.h"
#include "core/kernels/adamw.h"
#include "dist/communicator.h"
#include "dist/gradient_exchange.h"
#include "dist/store_memory.h"
#include "dist/weight_exchange.h"
#include "model/parameter_store.h"
#include "model/parameter_table.h"
#include "model/shard_map.h"

namespace cola {

class ShardedParameterStore final : public ParameterStore {
 public:
  /// Allocates the state of this rank, all zeros, on `device`. All three outlive the store; `communicator`
  /// carries the device's tensors. Throws UsageError for a stage that there is not, and DeviceError if there
  /// is not enough memory.
  ShardedParameterStore(Device& device, Communicator& communicator, const ParameterTable& table,
                        StoreOptions options);
  ShardedParameterStore(const ShardedParameterStore&) = delete;
  ShardedParameterStore& operator=(const ShardedParameterStore&) = delete;

  // What the model uses. From stage 2 these are collective: all ranks make the same passes, unit by unit; and
  // they throw Error for a unit that is asked for before the one in its place is released, or ready.
  Tensor acquire_weights(int unit) override;
  void release_weights(int unit) override;
  Tensor gradients(int unit) override;
  void gradients_ready(int unit) override;
  bool next_pass_is_local() const override;

  // What the trainer uses, in this order, each step.
  void zero_gradients();
  /// The micro-batch that begins is the step's last: units that are not reduced yet are, as they become
  /// ready.
  void begin_last_micro_batch();
  /// Waits for the reductions; returns the L2 norm of the whole summed gradient. Collective. Throws Error if
  /// a unit's gradients were not declared ready exactly once in the last micro-batch.
  double gradient_norm();
  /// Updates the shard and starts gathering the new weights. `parameters.gradient_scale` includes clipping.
  void update(const AdamWParameters& parameters);

  /// Initial values from the parameter table (moments 0), then gathered, as publish_weights does.
  void initialize(std::uint64_t seed);

  // The shard's state, fp32, on the device, laid out by shard_map(): for checkpoints.
  const ShardMap& shard_map() const { return shard_map_; }
  int shard() const;
  Tensor master_weights() const { return memory_.master_weights; }
  Tensor exp_avg() const { return memory_.exp_avg; }
  Tensor exp_avg_sq() const { return memory_.exp_avg_sq; }
  /// After the state was replaced from outside: rounds the weights to the compute type and starts to gather
  /// them. Collective.
  void publish_weights();

  /// Device bytes held.
  std::size_t bytes() const { return memory_buffer_.bytes(); }

 private:
  std::int64_t unit_elements(int unit) const;
  Tensor chunk_of(const Tensor& shard_tensor, int unit) const;
  std::vector<float> initial_values(const ShardRange& range, std::uint64_t seed) const;

  Device& device_;
  Communicator& communicator_;
  const ParameterTable& table_;
  ShardMap shard_map_;
  Buffer memory_buffer_;
  StoreMemory memory_;
  std::unique_ptr<GradientExchange> gradients_;
  std::unique_ptr<WeightExchange> weights_;
};

}  // namespace cola
