// Memory benchmark: the methods of the CoLA paper side by side, full-rank and CoLA, each with and without
// recomputation: memory planned, and memory and speed measured where the machine can.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/device.h"
#include "dist/communicator.h"
#include "train/benchmarks/training_benchmark.h"
#include "train/configuration/run_configuration.h"
#include "train/plan/memory_plan.h"

namespace cola {

/// One way to train a model.
struct TrainingMethod {
  std::string name;
  ProjectionKind projection = ProjectionKind::cola;
  Recompute recompute = Recompute::none;
};
/// full-rank, full-rank + block, CoLA, CoLA-M.
const std::vector<TrainingMethod>& compared_methods();

/// One model, trained one way, with one micro-batch.
struct MemoryRow {
  std::string size, method;
  std::int64_t micro_batch = 0;
  MemoryPlan plan;                            // of one rank
  std::optional<TrainingBenchmark> measured;  // absent: planned alone
  std::string why_planned;                    // empty where it was measured
};

/// What bounds measuring: bytes that a rank may take, and seconds that a row may.
struct MeasuringLimits {
  std::size_t bytes = 0;
  double seconds = 0;
  double product_rate = 0;  // operations a second of a rank's plain products, to foretell the seconds
};

/// Plans `configuration` trained as `method` says; measures `steps` steps of one micro-batch if by the plan
/// they stay within the limits, which are the same on all ranks. Collective.
MemoryRow benchmark_memory(RunConfiguration configuration, const TrainingMethod& method, Device& device,
                           Communicator& communicator, std::int64_t steps, const MeasuringLimits& limits);

/// All rows as JSON, for scripts/plot_memory.py.
std::string to_json(const std::vector<MemoryRow>& rows);

}  // namespace cola
