// Near devices: which GPU or network card each rank of a node works with. Pure functions, so that all ranks
// of a node come to one answer without asking each other.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/host_topology.h"

namespace cola {

/// How many of `cores` are among `near_cores`, which are in order.
int common_cores(const std::vector<int>& cores, const std::vector<int>& near_cores);

/// For each rank of a node, given by the cores it is bound to, the number of its device: the one near most of
/// its cores, no device taken by one rank more than another while there is a choice. Ranks bound alike (or
/// not at all) get devices in their own order; so do all where `devices` know no cores. `devices` must not be
/// empty. On Polaris, where rank 0 is bound to the cores near GPU 3, this gives 3 - local rank.
std::vector<int> assign_near_devices(std::span<const std::vector<int>> cores_of_ranks,
                                     std::span<const HostDevice> devices);

/// The same from what a rank knows alone, before it can ask others: the one device near most of its cores,
/// or, where all are as near, the one whose turn is the local rank's. Nothing where several but not all are:
/// which of them it gets depends on how the other ranks are bound.
std::optional<int> nearest_device(int local_rank, const std::vector<int>& cores,
                                  std::span<const HostDevice> devices);

/// The GPUs that CUDA shows a process, given by their PCI addresses in CUDA's order, with what the host's
/// topology says of each: schedulers hide GPUs in ways that change their numbers. One that the topology lacks
/// is near nothing.
std::vector<HostDevice> visible_gpus(const std::vector<HostDevice>& gpus,
                                     std::span<const std::string> addresses);

}  // namespace cola
