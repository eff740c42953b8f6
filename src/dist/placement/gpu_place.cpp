#include "dist/placement/gpu_place.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace cola {

namespace {

constexpr std::string_view between = " on ";

std::string_view host_of(std::string_view place) {
  return place.substr(place.find(between) + between.size());
}

}  // namespace

std::string gpu_place(const std::string& pci_bus_id, const std::string& host) {
  std::string bus = pci_bus_id;
  std::transform(bus.begin(), bus.end(), bus.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return fmt::format("{}{}{}", bus, between, host);
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

std::string find_uneven_sharing(std::span<const std::string> places) {
  std::unordered_set<std::string_view> taken;
  std::unordered_map<std::string_view, bool> shares;  // whether ranks share a GPU there
  std::string_view host;                              // the first that does
  for (const std::string_view place : places) {
    if (place.empty()) continue;
    const bool shared = !taken.insert(place).second;
    if (shared && host.empty()) host = host_of(place);
    shares[host_of(place)] |= shared;
  }
  const bool everywhere = std::all_of(shares.begin(), shares.end(), [](const auto& of) { return of.second; });
  if (host.empty() || everywhere) return {};
  return fmt::format(
      "{}, where other hosts have one for each rank: has a GPU of {} failed? Start without that host (Slurm: "
      "--exclude={}), or set parallel.collectives: mpi",
      find_shared_gpu(places), host, host);
}

}  // namespace cola
