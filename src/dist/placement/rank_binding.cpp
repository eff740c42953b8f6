#include "dist/placement/rank_binding.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "core/gpu_facts.h"
#include "core/host.h"
#include "core/host_topology.h"
#include "dist/placement/environment_variables.h"
#include "dist/placement/near_device.h"
#include "dist/placement/node_links.h"

namespace cola {

namespace {

/// What the ranks of one node tell each other, in the order of local ranks.
std::vector<std::string> gather_on_node(MpiSession& session, const std::string& text) {
  std::vector<std::string> mine;
  const std::string node = std::to_string(session.node()) + " ";
  for (const std::string& told : session.world().all_gather(node + text))
    if (told.starts_with(node)) mine.push_back(told.substr(node.size()));
  return mine;
}

std::string join_names(const std::vector<HostDevice>& devices) {
  std::string text;
  for (const HostDevice& device : devices) text += device.name + " ";
  return text;
}

// Where ranks see different GPUs, each chooses among its own.
int choose_gpu(MpiSession& session, const std::vector<std::vector<int>>& cores_of_ranks,
               const std::vector<HostDevice>& gpus) {
  const auto local_rank = static_cast<std::size_t>(session.local_rank());
  const std::vector<std::string> seen = gather_on_node(session, join_names(gpus));
  const bool all_alike =
      std::all_of(seen.begin(), seen.end(), [&](const auto& names) { return names == seen.front(); });
  if (all_alike) return assign_near_devices(cores_of_ranks, gpus)[local_rank];
  return assign_near_devices(std::span(cores_of_ranks).subspan(local_rank, 1), gpus).front();
}

// Threads on cores far from the GPU would reach it, and its network card, through other sockets.
void bind_near(const HostDevice& gpu, RankPlace& place) {
  std::vector<int> near;
  std::set_intersection(place.cores.begin(), place.cores.end(), gpu.near_cores.begin(), gpu.near_cores.end(),
                        std::back_inserter(near));
  if (near.empty() || near.size() == place.cores.size()) return;
  if (bind_to_cores(near)) place.cores = near;
}

std::int64_t fair_threads(MpiSession& session, const std::vector<int>& cores) {
  const std::string mine = format_cores(cores);
  const std::vector<std::string> all = gather_on_node(session, mine);
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(cores.size()) / std::count(all.begin(), all.end(), mine));
}

// Reading it takes a while and many small files: one rank a node does it for all.
HostTopology share_topology(MpiSession& session) {
  const bool reads = session.local_rank() == 0;
  const std::vector<std::string> told =
      gather_on_node(session, reads ? devices_to_text(read_host_topology()) : "");
  return devices_from_text(told.front());
}

// Where there is no card that hwloc knows for one of a fabric, MPI uses the interfaces with an address.
void describe_network(const HostTopology& topology, const std::vector<std::vector<int>>& cores_of_ranks,
                      RankPlace& place) {
  const auto rank = static_cast<std::size_t>(place.local_rank);
  if (const std::optional<std::string> devices = environment_variable("UCX_NET_DEVICES")) {
    place.network_devices = *devices;
  } else if (!topology.network_cards.empty()) {
    const auto cards = assign_near_devices(cores_of_ranks, topology.network_cards);
    place.network_card = topology.network_cards[static_cast<std::size_t>(cards[rank])].name;
  }
  if (rank == 0 && topology.network_cards.empty())
    place.interfaces = describe_interfaces(addressed_interfaces(), interface_megabits);
}

}  // namespace

RankPlace bind_rank(MpiSession& session, int gpus, int threads) {
  const HostTopology topology = share_topology(session);
  RankPlace place;
  place.host = session.host();
  place.node = session.node();
  place.local_rank = session.local_rank();
  place.cores = usable_core_ids();
  std::vector<std::vector<int>> cores_of_ranks;
  for (const std::string& cores : gather_on_node(session, format_cores(place.cores)))
    cores_of_ranks.push_back(parse_cores(cores));
  // Collective, so also where this rank has no GPU but another one has.
  std::vector<HostDevice> seen = visible_gpus(topology.gpus, gpu_addresses(gpus));
  if (seen.empty()) seen.emplace_back();
  const int chosen = choose_gpu(session, cores_of_ranks, seen);
  if (gpus > 0) {
    const HostDevice& gpu = seen[static_cast<std::size_t>(chosen)];
    place.gpu_number = chosen;
    place.gpu = gpu.name;
    bind_near(gpu, place);
  }
  describe_network(topology, cores_of_ranks, place);
  if (place.local_rank == 0) place.gpu_links = describe_gpu_links(gpus, gpu_link);
  const std::int64_t fair = fair_threads(session, place.cores);
  place.threads = threads > 0 ? threads : fair;
  return place;
}

}  // namespace cola
