// Which device a rank computes on, from its configuration and its place on the node.
#pragma once

#include <algorithm>
#include <memory>

#include "core/device.h"
#include "core/host.h"
#include "dist/launch.h"
#include "train/run_configuration.h"

namespace cola {

/// Ranks that are bound to cores use those; ranks that share a whole node share its cores evenly.
inline int threads_of(const RunConfiguration& configuration, const MpiSession& session) {
  if (configuration.train.threads > 0) return configuration.train.threads;
  const int usable = usable_cores();
  return usable < online_cores() ? usable : std::max(1, usable / session.local_size());
}

inline std::unique_ptr<Device> choose_device(const RunConfiguration& configuration, const MpiSession& session) {
  const DeviceChoice choice = configuration.train.device;
  const int gpus = choice == DeviceChoice::cpu ? 0 : cuda_device_count();
  if (choice == DeviceChoice::cuda || (choice == DeviceChoice::automatic && gpus > 0))
    return make_cuda_device(session.local_rank() % std::max(1, gpus));
  return make_cpu_device(threads_of(configuration, session));
}

}  // namespace cola
