// cola_bench checkpoint: what saving costs, as ratios.
#pragma once

#include "core/device.h"
#include "dist/communicator.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// Measures and prints on rank 0. Collective.
void bench_checkpoint(const RunConfiguration& configuration, Device& device, Communicator& communicator,
                      int rounds, std::int64_t micro_batches);

}  // namespace cola
