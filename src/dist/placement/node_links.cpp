#include "dist/placement/node_links.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

namespace cola {

namespace {

const char* words_for(GpuLink link) {
  switch (link) {
    case GpuLink::nvlink:
      return "NVLink";
    case GpuLink::pcie:
      return "PCIe";
    case GpuLink::none:
      break;
  }
  return "only host memory";
}

}  // namespace

std::string describe_gpu_links(int gpus, const std::function<GpuLink(int first, int second)>& link_of) {
  if (gpus < 2) return {};
  std::map<GpuLink, std::vector<std::string>> pairs;  // the slowest link first
  for (int first = 0; first < gpus; ++first)
    for (int second = first + 1; second < gpus; ++second)
      pairs[link_of(first, second)].push_back(fmt::format("{}-{}", first, second));
  std::vector<std::string> parts;
  for (auto kind = pairs.rbegin(); kind != pairs.rend(); ++kind) {
    const bool last = std::next(kind) == pairs.rend();
    const std::string among = pairs.size() == 1 ? "all" : fmt::format("{}", fmt::join(kind->second, ", "));
    parts.push_back(fmt::format("{} between {}", words_for(kind->first),
                                last && pairs.size() > 1 ? "the others" : among));
  }
  return fmt::format("GPUs 0-{}: {}", gpus - 1, fmt::join(parts, "; "));
}

std::string describe_interfaces(const std::vector<std::string>& interfaces,
                                const std::function<int(const std::string& interface)>& megabits_of) {
  std::vector<std::string> parts;
  for (const std::string& interface : interfaces) {
    const int megabits = megabits_of(interface);
    parts.push_back(megabits > 0 ? fmt::format("{} ({:g} Gbit/s)", interface, megabits / 1000.0) : interface);
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace cola
