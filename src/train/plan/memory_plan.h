// MemoryPlan: the memory of one rank, from the allocation code of the run itself, walked with an arena that
// only counts; and what fits into a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "core/device.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// The ranks that a plan is made for: how many, on what device, computing in which type.
struct PlanTarget {
  int ranks = 1;
  DeviceKind device = DeviceKind::cpu;
  DataType type = DataType::float32;
};

struct MemoryPlan {
  Arena store, model;                  // counted: parameters with their state, and passes
  std::size_t kernel_workspace = 0;    // what the device takes for its kernels when it is made
  std::size_t collective_staging = 0;  // host memory, pinned: what ranks' tensors pass through over MPI
  std::size_t snapshot_ring = 0;       // host memory that checkpoints pass through

  /// Device bytes of one use, and of all: the most that the run has allocated at any time.
  std::size_t used(MemoryUse use) const;
  std::size_t peak_bytes() const { return store.used() + model.used() + kernel_workspace; }
};

MemoryPlan plan_memory(const RunConfiguration& configuration, const PlanTarget& target);

/// The largest train.micro_batch with which a rank stays within `bytes`: one that divides train.global_batch
/// and is at most a rank's share of it. 0 if not even one sequence fits.
std::int64_t largest_micro_batch(const RunConfiguration& configuration, const PlanTarget& target,
                                 std::size_t bytes);

/// The recompute policies that the model can use, from the one that keeps most to the one that keeps least.
std::vector<Recompute> usable_policies(const ModelConfiguration& model);

/// What a rank may take of its device, and what sets this limit. No bytes: no limit is known.
struct MemoryLimit {
  std::size_t bytes = 0;
  const char* name = "";
};

/// train.device_memory_gib where it is stated, else what the device has.
MemoryLimit memory_limit(const RunConfiguration& configuration, const MemoryLimit& of_device);

/// Throws UsageError if a rank needs more. The message names the largest micro-batch that fits, and the
/// recompute policy with which this one does.
void require_memory(const RunConfiguration& configuration, const PlanTarget& target,
                    const MemoryLimit& limit);

}  // namespace cola
