// LoadedWeights: a checkpoint's weights for computing alone, without gradients or optimizer state.
#pragma once

#include "core/buffer.h"
#include "core/device.h"
#include "io/checkpoints/checkpoint_reader.h"
#include "model/parameter_store.h"
#include "model/parameter_table.h"
#include "model/shard_map.h"

namespace cola {

class LoadedWeights final : public ParameterStore {
 public:
  /// Reads a checkpoint's weights, rounded to `type`, unit by unit. `table`, the model that it holds,
  /// outlives this. Throws FileError, or DeviceError if there is not enough memory.
  LoadedWeights(Device& device, CheckpointReader& checkpoint, const ParameterTable& table, DataType type);

  Tensor acquire_weights(int unit) override;
  void release_weights(int) override {}
  /// There are none: both throw Error.
  Tensor gradients(int unit) override;
  void gradients_ready(int unit) override;
  bool next_pass_is_local() const override { return true; }

  /// Device bytes held.
  std::size_t bytes() const { return weights_.bytes(); }

 private:
  const ParameterTable& table_;
  ShardMap map_;  // of one shard
  DataType type_;
  Buffer weights_;
};

}  // namespace cola
