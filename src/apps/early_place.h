// Early place: the GPU and the network cards of a rank, taken before MPI starts, which would take its own.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/host.h"
#include "core/host_topology.h"
#include "dist/launch_environment.h"
#include "dist/near_device.h"
#include "dist/network_binding.h"

namespace cola {

/// What a configuration says of it. A run on the CPU touches no GPU.
struct EarlyChoices {
  bool on_cpu = false, bind_network = true;
};

/// Gives this rank its GPU, where it can tell which: a library that knows CUDA would take the first one. To
/// choose makes a context, which must not be on the GPU of another rank. Returns its PCI address, empty where
/// it is not known.
inline std::string select_gpu(int local_rank, int gpus, const HostTopology& host) {
  const auto visible = visible_gpus(host.gpus, environment_variable("CUDA_VISIBLE_DEVICES"), gpus);
  const std::optional<int> nearest = nearest_device(local_rank, usable_core_ids(), visible);
  if (!nearest) return "";
  select_cuda_device(*nearest);
  return visible[static_cast<std::size_t>(*nearest)].name;
}

/// Tells transports which network cards this rank uses, in variables that they read when they start.
inline void bind_network(const EarlyPlace& rank, const HostTopology& host, bool on_gpu) {
  for (const NetworkVariable& variable :
       choose_network_variables(rank, host, addressed_interfaces(), on_gpu, environment_variable))
    ::setenv(variable.name.c_str(), variable.value.c_str(), 0);
}

/// Both, for a process that a launcher started.
inline void take_place(const EarlyChoices& choices) {
  if (!choices.on_cpu) ::setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 0);  // as hwloc counts them
  const int gpus = choices.on_cpu ? 0 : cuda_device_count();
  const std::optional<int> local_rank = read_local_rank(environment_variable),
                           local_size = read_local_size(environment_variable);
  const bool several_cards =
      choices.bind_network && local_size && may_have_several_cards(environment_variable);
  if (!local_rank || (gpus == 0 && !several_cards)) return;
  const HostTopology host = read_host_topology();
  const std::string gpu = gpus > 0 ? select_gpu(*local_rank, gpus, host) : "";
  if (choices.bind_network && local_size)
    bind_network({*local_rank, *local_size, usable_core_ids(), gpu}, host, gpus > 0);
}

}  // namespace cola
