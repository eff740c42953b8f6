// BenchmarkModel: a model that trains on random tokens, for measuring its steps.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dist/communicator.h"
#include "dist/sharded_parameter_store.h"
#include "model/transformer.h"
#include "train/configuration/run_configuration.h"

namespace cola {

class BenchmarkModel {
 public:
  /// Allocates and initialises everything that a run of this configuration has on a rank.
  BenchmarkModel(const RunConfiguration& configuration, Device& device, Communicator& communicator);

  /// One optimizer step as the trainer makes it, without the data. `between` is called after each
  /// micro-batch, `before_update` before the weights change.
  void step(
      std::int64_t micro_batches, const std::function<void()>& between = [] {},
      const std::function<void()>& before_update = [] {});

  /// Of model, weights, gradients and optimizer state, on this rank.
  std::size_t bytes() const { return model_.bytes() + store_.bytes(); }
  const ParameterTable& table() const { return table_; }
  ShardedParameterStore& store() { return store_; }

 private:
  ParameterTable table_;
  Transformer model_;
  ShardedParameterStore store_;
  std::vector<std::int32_t> ids_;
  TokenBatch batch_;
  std::int64_t steps_ = 0;
};

}  // namespace cola
