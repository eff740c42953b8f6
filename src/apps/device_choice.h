// Which device a rank computes on, from its configuration and its place on the node.
#pragma once

#include <algorithm>
#include <memory>

#include "core/device.h"
#include "core/error.h"
#include "dist/launch.h"
#include "dist/rank_binding.h"
#include "train/run_configuration.h"

namespace cola {

/// Chooses and binds the rank's GPU, cores and threads. Collective.
inline RankPlace place_rank(const RunConfiguration& configuration, MpiSession& session) {
  const int gpus = configuration.train.device == DeviceChoice::cpu ? 0 : cuda_device_count();
  return bind_rank(session, gpus, configuration.train.threads);
}

/// The device of a placed rank, which is told its name.
inline std::unique_ptr<Device> make_device(const RunConfiguration& configuration, RankPlace& place) {
  const bool on_gpu = place.gpu_number >= 0 || configuration.train.device == DeviceChoice::cuda;
  if (!on_gpu && configuration.parallel.collectives == Collectives::nccl)
    throw UsageError("parallel.collectives: nccl needs GPUs, and none is used here; set it to auto or mpi");
  auto device = on_gpu ? make_cuda_device(std::max(0, place.gpu_number), {configuration.train.attention})
                       : make_cpu_device(static_cast<int>(place.threads));
  place.device = device->name();
  return device;
}

}  // namespace cola
