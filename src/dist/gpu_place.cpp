#include "dist/gpu_place.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cola {

std::string gpu_place(const std::string& pci_bus_id, const std::string& host) {
  std::string bus = pci_bus_id;
  std::transform(bus.begin(), bus.end(), bus.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return fmt::format("{} on {}", bus, host);
}

std::string find_shared_gpu(std::span<const std::string> places) {
  std::unordered_map<std::string_view, std::vector<std::size_t>> ranks_of;
  for (std::size_t rank = 0; rank < places.size(); ++rank) ranks_of[places[rank]].push_back(rank);
  for (const std::string& place : places) {
    std::vector<std::size_t>& ranks = ranks_of[place];
    if (place.empty() || ranks.size() < 2) continue;
    const std::size_t last = ranks.back();
    ranks.pop_back();
    return fmt::format("ranks {} and {} share GPU {}", fmt::join(ranks, ", "), last, place);
  }
  return {};
}

}  // namespace cola
