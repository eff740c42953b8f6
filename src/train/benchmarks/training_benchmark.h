// Training benchmark: full optimizer steps on random tokens, measured against the plain matrix product of the
// same device in the same run.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "dist/communicator.h"
#include "train/configuration/run_configuration.h"

namespace cola {

struct TrainingBenchmark {
  std::int64_t tokens_per_step = 0;  // of all ranks
  double step_seconds = 0;           // median
  double tokens_per_second = 0;      // of all ranks
  double operations_per_second = 0;  // useful ones, as training_operations_per_token counts them
  double product_rate = 0;           // plain products of all ranks, the mean of before and after
  double utilization() const { return operations_per_second / product_rate; }
  std::size_t planned_bytes = 0;   // weights, gradients, optimizer state, activations of one rank
  std::size_t device_bytes = 0;    // what the device's allocator gave out at most
  std::size_t resident_bytes = 0;  // what the process grew by at most
};

/// `steps` timed steps after three to warm up, each of `micro_batches` micro-batches a rank. Collective.
TrainingBenchmark benchmark_training(const RunConfiguration& configuration, Device& device,
                                     Communicator& communicator, std::int64_t steps,
                                     std::int64_t micro_batches);

}  // namespace cola
