#include "apps/common/early_place.h"

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/gpu_facts.h"
#include "core/host.h"
#include "core/host_topology.h"
#include "dist/placement/launch_environment.h"
#include "dist/placement/near_device.h"
#include "dist/placement/network_binding.h"

namespace cola {

namespace {

// A library that knows CUDA would take the first one. To choose makes a context, which must not be on the GPU
// of another rank. Returns its PCI address, empty where it is not known.
std::string select_gpu(int local_rank, int gpus, const HostTopology& host) {
  const auto visible = visible_gpus(host.gpus, gpu_addresses(gpus));
  const std::optional<int> nearest = nearest_device(local_rank, usable_core_ids(), visible);
  if (!nearest) return "";
  select_cuda_device(*nearest);
  return visible[static_cast<std::size_t>(*nearest)].name;
}

void set_variables(const std::vector<NetworkVariable>& variables) {
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 0);
}

}  // namespace

void take_place(const EarlyChoices& choices) {
  if (!choices.on_cpu) ::setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 0);  // in one order on all nodes
  const int gpus = choices.on_cpu ? 0 : cuda_device_count();
  const std::optional<int> local_rank = read_local_rank(environment_variable),
                           local_size = read_local_size(environment_variable);
  if (gpus > 0) set_variables(choose_nccl_variables(environment_variable));
  const bool several_cards =
      choices.bind_network && local_size && may_have_several_cards(environment_variable);
  if (!local_rank || (gpus == 0 && !several_cards)) return;
  const HostTopology host = read_host_topology();
  const std::string gpu = gpus > 0 ? select_gpu(*local_rank, gpus, host) : "";
  if (choices.bind_network && local_size)
    set_variables(choose_network_variables({*local_rank, *local_size, usable_core_ids(), gpu}, host,
                                           addressed_interfaces(), gpus > 0, environment_variable));
}

}  // namespace cola
