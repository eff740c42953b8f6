#include "dist/gpu_place.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace cola {

std::string gpu_place(const std::string& pci_bus_id, const std::string& host) {
  std::string bus = pci_bus_id;
  std::transform(bus.begin(), bus.end(), bus.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return fmt::format("{} on {}", bus, host);
}

std::string find_shared_gpu(std::span<const std::string> places) {
  for (const std::string& place : places) {
    if (place.empty()) continue;
    std::vector<std::size_t> ranks;
    for (std::size_t rank = 0; rank < places.size(); ++rank)
      if (places[rank] == place) ranks.push_back(rank);
    if (ranks.size() < 2) continue;
    const std::size_t last = ranks.back();
    ranks.pop_back();
    return fmt::format("ranks {} and {} share GPU {}", fmt::join(ranks, ", "), last, place);
  }
  return {};
}

}  // namespace cola
