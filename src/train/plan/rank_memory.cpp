#include "train/plan/rank_memory.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/host.h"
#include "core/host_memory.h"
#include "core/log.h"
#include "core/text.h"

namespace cola {

namespace {

// A rank's equal part of its host's memory, the least of all ranks'. Collective.
HostMemory part_of_rank(Communicator& communicator) {
  const HostMemory host = read_host_memory();
  const std::vector<std::string> hosts = communicator.all_gather(host_name());
  const auto ranks =
      std::count(hosts.begin(), hosts.end(), hosts[static_cast<std::size_t>(communicator.rank())]);
  std::array<std::int64_t, 2> least{-static_cast<std::int64_t>(host.total_bytes) / ranks,
                                    -static_cast<std::int64_t>(host.available_bytes) / ranks};
  communicator.all_reduce_maximum(least);
  return {static_cast<std::size_t>(-least[0]), static_cast<std::size_t>(-least[1])};
}

}  // namespace

MemoryLimit require_room_for_rank(const RunConfiguration& configuration, const Device& device, DataType type,
                                  Communicator& communicator) {
  const HostMemory part = part_of_rank(communicator);
  const PlanTarget target{communicator.size(), device.kind(), type};
  MemoryPlan plan = plan_memory(configuration, target);
  plan.collective_staging = communicator.staging_bytes();  // `auto` may have led to either
  if (part.total_bytes > 0 && plan.host_bytes() > part.total_bytes)
    throw UsageError(
        "checkpoint.ring_gib: snapshots take {} of host memory a rank, more than its part of the host's "
        "({}): "
        "a smaller ring takes less",
        format_bytes(plan.snapshot_ring), format_bytes(part.total_bytes));
  const bool on_host = device.kind() == DeviceKind::cpu;
  const MemoryLimit limit = memory_limit(
      configuration, on_host ? MemoryLimit{part.total_bytes - std::min(part.total_bytes, plan.host_bytes()),
                                           "its part of the host's memory"}
                             : MemoryLimit{device.memory_bytes(), "the device's memory"});
  require_memory(configuration, target, limit);
  const std::size_t needed = plan.host_bytes() + (on_host ? plan.peak_bytes() : 0);
  if (needed > part.available_bytes && part.available_bytes > 0 && communicator.rank() == 0)
    warning("a rank takes {} of host memory, but other programs have left only {} for it",
            format_bytes(needed), format_bytes(part.available_bytes));
  return limit;
}

}  // namespace cola
