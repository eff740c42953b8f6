// GradientExchange: where the model adds up its gradients, and how the sum over ranks comes of them. Whole:
// every rank has room for all units, and they are reduced once a step (ZeRO 0 and 1). Split: two units have
// room at a time, and each is reduce-scattered into its owners' sums after every micro-batch (ZeRO 2 and 3).
#pragma once

#include <memory>

#include "core/device.h"
#include "dist/communicator.h"
#include "dist/store_memory.h"
#include "model/shard_map.h"

namespace cola {

class GradientExchange {
 public:
  virtual ~GradientExchange() = default;

  /// The padded unit's accumulator [padded_elements], fp32, to add to until the unit is ready.
  virtual Tensor gradients(int unit) = 0;
  /// Nothing more will be added in this micro-batch.
  virtual void ready(int unit) = 0;

  /// Sums become zero.
  virtual void begin_step() = 0;
  virtual void begin_last_micro_batch() = 0;
  /// Returns when memory.reduced_gradient holds the sum over micro-batches and ranks. Throws Error, where
  /// there are ranks to reduce over, if a unit was not declared ready exactly once in the last micro-batch.
  virtual void finish_step() = 0;

  /// Whether the next pass starts no collective here.
  virtual bool next_pass_is_local() const = 0;
};

/// `map` and `memory` must outlive it.
std::unique_ptr<GradientExchange> make_gradient_exchange(Device& device, Communicator& communicator,
                                                         const ShardMap& map, const StoreMemory& memory);

}  // namespace cola
