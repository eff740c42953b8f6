// WeightExchange: where the model reads its weights in the compute type, and how they come to every rank.
// Whole: every rank holds all units, gathered once a step after the update (ZeRO 0 to 2). Split: every rank
// holds its shard; two units exist whole at a time, gathered just before they are used (ZeRO 3).
#pragma once

#include <memory>

#include "core/device.h"
#include "dist/communicator.h"
#include "dist/store_memory.h"
#include "model/shard_map.h"

namespace cola {

class WeightExchange {
 public:
  virtual ~WeightExchange() = default;

  /// The padded unit [padded_elements], compute type, for reading until it is released. Where weights are
  /// split, one unit at a time, and collective.
  virtual Tensor acquire(int unit) = 0;
  virtual void release(int unit) = 0;

  /// New weights are coming: waits for what is under way, and forgets what was gathered.
  virtual void begin_update() = 0;
  /// Where this rank's new weights of the unit belong [chunk_elements].
  virtual Tensor own_chunk(int unit) = 0;
  /// They are there: other ranks may have them.
  virtual void publish(int unit) = 0;

  /// Whether the next pass neither starts nor awaits a collective here.
  virtual bool next_pass_is_local() const = 0;
};

/// `map` and `memory` must outlive it.
std::unique_ptr<WeightExchange> make_weight_exchange(Device& device, Communicator& communicator,
                                                     const ShardMap& map, const StoreMemory& memory);

}  // namespace cola
