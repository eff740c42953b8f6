#include "train/plan/rank_memory.h"

#include <array>
#include <cstdint>
#include <iterator>
#include <limits>
#include <vector>

#include "core/error.h"
#include "core/host_memory.h"
#include "core/log.h"
#include "core/text.h"
#include "dist/store_memory.h"
#include "model/parameter_table.h"
#include "train/ranks_of_node.h"

namespace cola {

namespace {

// What the host with the least room has for each rank's tensors, beside the snapshots of those ranks that
// write a shard: in all, and now. Negative where these alone are too much; as much as there can be where the
// system does not say.
struct Room {
  std::int64_t in_all, now;
};

// Collective.
Room room_for_tensors(Communicator& communicator, const MemoryPlan& plan, int shards) {
  const std::vector<int> node = ranks_of_node(communicator);
  const auto ranks = std::ssize(node);
  const std::int64_t beside = writers_among(node, shards) * static_cast<std::int64_t>(plan.snapshot_ring) +
                              ranks * static_cast<std::int64_t>(plan.collective_staging);
  const HostMemory host = read_host_memory();
  const auto part = [&](std::size_t bytes) {
    return bytes == 0 ? std::numeric_limits<std::int64_t>::max()
                      : (static_cast<std::int64_t>(bytes) - beside) / ranks;
  };
  std::array<std::int64_t, 2> least{-part(host.total_bytes), -part(host.available_bytes)};
  communicator.all_reduce_maximum(least);
  return {-least[0], -least[1]};
}

}  // namespace

MemoryPlan plan_memory_of_rank(const RunConfiguration& configuration, const PlanTarget& target,
                               const Communicator& communicator) {
  MemoryPlan plan = plan_memory(configuration, target);
  plan.collective_staging = communicator.staging_bytes();
  return plan;
}

MemoryLimit require_room_for_rank(const RunConfiguration& configuration, const Device& device, DataType type,
                                  Communicator& communicator) {
  const PlanTarget target{communicator.size(), device.kind(), type};
  const MemoryPlan plan = plan_memory_of_rank(configuration, target, communicator);
  const int shards =
      shard_map_of(ParameterTable(configuration.model), configuration.parallel.zero_stage, target.ranks)
          .shards();
  const Room room = room_for_tensors(communicator, plan, shards);
  if (room.in_all <= 0)
    throw UsageError(
        "checkpoint.ring_gib: snapshots take {} of host memory a rank, and a host has no room for those of "
        "its ranks: a smaller ring takes less",
        format_bytes(plan.snapshot_ring));
  const bool on_host = device.kind() == DeviceKind::cpu;
  const MemoryLimit limit = memory_limit(
      configuration, on_host
                         ? MemoryLimit{static_cast<std::size_t>(room.in_all), "its part of the host's memory"}
                         : MemoryLimit{device.memory_bytes(), "the device's memory"});
  require_memory(configuration, target, limit);
  const std::int64_t missing = (on_host ? static_cast<std::int64_t>(plan.peak_bytes()) : 0) - room.now;
  if (missing > 0 && communicator.rank() == 0)
    warning("other programs hold so much of a host's memory that {} are missing for each rank",
            format_bytes(static_cast<std::size_t>(missing)));
  return limit;
}

}  // namespace cola
