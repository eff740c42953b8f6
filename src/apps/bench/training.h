// cola_bench train: how fast whole optimizer steps are, and what memory they take.
#pragma once

#include <cstdint>
#include <optional>

#include "core/device.h"
#include "dist/communicator.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// Measures `configuration`, and its full-rank `twin` where there is one to compare it with, and prints a row
/// of each on rank 0. Collective.
void bench_training(const RunConfiguration& configuration, const std::optional<RunConfiguration>& twin,
                    Device& device, Communicator& communicator, std::int64_t steps,
                    std::int64_t micro_batches);

}  // namespace cola
