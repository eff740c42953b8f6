#include "dist/placement/near_device.h"

#include <algorithm>
#include <tuple>

#include "core/divide_up.h"

namespace cola {

namespace {

struct Pair {
  double nearness;  // share of the rank's cores that the device is near
  std::size_t rank, device;
};

double share_of(const std::vector<int>& cores, const std::vector<int>& near_cores) {
  return cores.empty()
             ? 0
             : static_cast<double>(common_cores(cores, near_cores)) / static_cast<double>(cores.size());
}

// All pairs, the nearest first, then in the order of ranks and devices.
std::vector<Pair> rank_pairs(std::span<const std::vector<int>> cores_of_ranks,
                             std::span<const HostDevice> devices) {
  std::vector<Pair> pairs;
  for (std::size_t rank = 0; rank < cores_of_ranks.size(); ++rank)
    for (std::size_t device = 0; device < devices.size(); ++device)
      pairs.push_back({share_of(cores_of_ranks[rank], devices[device].near_cores), rank, device});
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
    return std::tuple(-a.nearness, a.rank, a.device) < std::tuple(-b.nearness, b.rank, b.device);
  });
  return pairs;
}

bool bound_alike(std::span<const std::vector<int>> cores_of_ranks) {
  return std::all_of(cores_of_ranks.begin(), cores_of_ranks.end(),
                     [&](const std::vector<int>& cores) { return cores == cores_of_ranks.front(); });
}

}  // namespace

int common_cores(const std::vector<int>& cores, const std::vector<int>& near_cores) {
  return static_cast<int>(std::count_if(cores.begin(), cores.end(), [&](int core) {
    return std::binary_search(near_cores.begin(), near_cores.end(), core);
  }));
}

std::vector<int> assign_near_devices(std::span<const std::vector<int>> cores_of_ranks,
                                     std::span<const HostDevice> devices) {
  std::vector<int> chosen(cores_of_ranks.size(), -1);
  if (cores_of_ranks.size() > 1 && bound_alike(cores_of_ranks)) {
    for (std::size_t rank = 0; rank < chosen.size(); ++rank)
      chosen[rank] = static_cast<int>(rank % devices.size());
    return chosen;
  }
  const std::size_t most = divide_up(chosen.size(), devices.size());
  std::vector<std::size_t> ranks_of(devices.size(), 0);
  for (const Pair& pair : rank_pairs(cores_of_ranks, devices)) {
    if (chosen[pair.rank] >= 0 || ranks_of[pair.device] == most) continue;
    chosen[pair.rank] = static_cast<int>(pair.device);
    ++ranks_of[pair.device];
  }
  return chosen;
}

std::optional<int> nearest_device(int local_rank, const std::vector<int>& cores,
                                  std::span<const HostDevice> devices) {
  std::vector<int> nearest;
  double most = -1;
  for (std::size_t device = 0; device < devices.size(); ++device) {
    const double share = share_of(cores, devices[device].near_cores);
    if (share > most) nearest.clear();
    most = std::max(most, share);
    if (share == most) nearest.push_back(static_cast<int>(device));
  }
  if (nearest.size() > 1 && nearest.size() < devices.size()) return std::nullopt;
  return nearest[static_cast<std::size_t>(local_rank) % nearest.size()];
}

std::vector<HostDevice> visible_gpus(const std::vector<HostDevice>& gpus,
                                     std::span<const std::string> addresses) {
  std::vector<HostDevice> shown;
  for (const std::string& address : addresses) {
    const auto known =
        std::find_if(gpus.begin(), gpus.end(), [&](const HostDevice& gpu) { return gpu.name == address; });
    shown.push_back(known == gpus.end() ? HostDevice{address, {}} : *known);
  }
  return shown;
}

}  // namespace cola
