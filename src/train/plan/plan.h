// Plan: what a run needs, computed from the parameter table, the shard map and counting arenas: no memory is
// allocated and no rank is started.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "train/configuration/run_configuration.h"
#include "train/plan/memory_plan.h"

namespace cola {

/// What one recompute policy needs: bytes of a rank at the configured micro-batch, and the largest
/// micro-batch within the limit.
struct PolicyPlan {
  Recompute recompute = Recompute::none;
  std::size_t peak_bytes = 0;
  std::int64_t largest_micro_batch = 0;
};

/// What one ZeRO stage needs: bytes of a rank, and bytes that it sends in a step.
struct StagePlan {
  int zero_stage = 0;
  std::size_t peak_bytes = 0;
  double sent_bytes_per_step = 0;
};

struct Plan {
  PlanTarget target;
  MemoryPlan memory;            // of one rank
  std::size_t limit_bytes = 0;  // train.device_memory_gib; 0: none stated
  std::vector<PolicyPlan> policies;
  std::vector<StagePlan> stages;  // empty for one rank
  bool fits() const { return limit_bytes == 0 || memory.peak_bytes() <= limit_bytes; }
  double parameters = 0;
  double operations_per_token = 0, recomputed_operations_per_token = 0, operations_per_step = 0;
  double sent_bytes_per_step = 0;  // in collectives on weights and gradients
  double checkpoint_bytes = 0;     // of all ranks together
  std::int64_t checkpoints = 0;    // that lie on the disk at most, the one being written included
};

/// Where `auto` leads on this machine: train.device cuda if a GPU is usable here, otherwise cpu;
/// train.precision bf16 on GPUs, and on the CPU what this one multiplies faster. A stated device need not
/// exist here.
PlanTarget plan_target(const RunConfiguration& configuration, int ranks);

/// Checkpoints that lie on the disk at the end of a run, where there are most: the newest, one more that is
/// being written, and of those before the lasting ones.
std::int64_t most_checkpoints(const CheckpointSection& checkpoint, std::int64_t total_steps);

/// Throws UsageError if the batch cannot be dealt out to so many ranks.
Plan make_plan(const RunConfiguration& configuration, const PlanTarget& target);

/// The memory of one rank by use, on its device and on the host, as a table: part of describe_plan, and of a
/// run's start report.
std::string describe_memory(const MemoryPlan& memory, const PlanTarget& target,
                            const RunConfiguration& configuration, const MemoryLimit& limit);

/// The plan as a table for people.
std::string describe_plan(const Plan& plan, const RunConfiguration& configuration);

}  // namespace cola
