// How the GPUs of a node are joined, and its ways out, in words for the start report.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/gpu_facts.h"

namespace cola {

/// "GPUs 0-3: NVLink between all", or the pairs that have a better link than the others: "GPUs 0-3: NVLink
/// between 0-1, 2-3; PCIe between the others". Empty for fewer than two GPUs.
std::string describe_gpu_links(int gpus, const std::function<GpuLink(int first, int second)>& link_of);

/// "eth0 (10 Gbit/s), ib0": the interfaces with their speed, where it is known, in megabits a second.
std::string describe_interfaces(const std::vector<std::string>& interfaces,
                                const std::function<int(const std::string& interface)>& megabits_of);

}  // namespace cola
