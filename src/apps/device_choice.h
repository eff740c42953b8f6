// Which device a rank computes on, from its configuration and its place on the node.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/error.h"
#include "core/host.h"
#include "dist/launch.h"
#include "train/run_configuration.h"

namespace cola {

/// Threads of this rank: the cores it may use, divided by the ranks of its node that may use the very same
/// ones. Ranks that are bound one by one keep all of theirs; ranks that share a node or a cpuset share its
/// cores evenly. Collective.
inline int threads_of(const RunConfiguration& configuration, MpiSession& session) {
  if (configuration.train.threads > 0) return configuration.train.threads;
  const std::vector<int> cores = usable_core_ids();
  const std::string mine = fmt::format("{}: {}", session.host(), fmt::join(cores, " "));
  const std::vector<std::string> all = session.world().all_gather(mine);
  return std::max(
      1, static_cast<int>(cores.size()) / static_cast<int>(std::count(all.begin(), all.end(), mine)));
}

inline std::unique_ptr<Device> choose_device(const RunConfiguration& configuration, const MpiSession& session,
                                             int threads) {
  const DeviceChoice choice = configuration.train.device;
  const int gpus = choice == DeviceChoice::cpu ? 0 : cuda_device_count();
  if (choice == DeviceChoice::cuda || (choice == DeviceChoice::automatic && gpus > 0))
    return make_cuda_device(session.local_rank() % std::max(1, gpus), {configuration.train.attention});
  if (configuration.parallel.collectives == Collectives::nccl)
    throw UsageError("parallel.collectives: nccl needs GPUs, and none is used here; set it to auto or mpi");
  return make_cpu_device(threads);
}

}  // namespace cola
