// What a rank of a run may take of its device and its host, looked at before anything is allocated.
#pragma once

#include "core/device.h"
#include "dist/communicator.h"
#include "train/configuration/run_configuration.h"
#include "train/plan/memory_plan.h"

namespace cola {

/// The plan of a rank that runs: what tensors pass through on the host is known, where `auto` may have led to
/// either.
MemoryPlan plan_memory_of_rank(const RunConfiguration& configuration, const PlanTarget& target,
                               const Communicator& communicator);

/// Looks whether the run fits, on the device and on the host, where ranks share what their control group
/// leaves them; warns where other programs hold too much of the host's memory now. Returns the limit on the
/// device: train.device_memory_gib, the GPU's memory, or on the CPU a rank's part of the host's, the same on
/// all ranks. Collective. Throws UsageError.
MemoryLimit require_room_for_rank(const RunConfiguration& configuration, const Device& device, DataType type,
                                  Communicator& communicator);

}  // namespace cola
