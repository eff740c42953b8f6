// Where every rank of the job runs and what it computes on, as the start report shows it, and what is wrong
// with it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/host_topology.h"
#include "dist/communicator.h"

namespace cola {

struct RankPlace {
  std::string host, device;           // device: its name for people
  std::string gpu;                    // its PCI address; empty on the CPU, and where it is not known
  std::string network_card;           // the nearest one; empty if none is known, or network_devices says more
  std::string network_devices;        // UCX_NET_DEVICES, where it is set
  std::string gpu_links, interfaces;  // of its node, as node_links.h words them; only on its first rank
  int gpu_number = -1;                // as CUDA counts them; -1: on the CPU
  std::int64_t node = 0, local_rank = 0;
  std::int64_t threads = 1;
  std::vector<int> cores;  // those it may use, by number
  bool operator==(const RankPlace&) const = default;
};

/// Every rank's place, in rank order. Collective.
std::vector<RankPlace> gather_places(Communicator& world, const RankPlace& mine);

/// "0-3,8": core numbers in ranges, as taskset and cgroups write them.
std::string format_cores(const std::vector<int>& cores);
/// The inverse, for lists that format_cores wrote.
std::vector<int> parse_cores(const std::string& text);

/// The GPUs and network cards of a host, as one rank tells them to those of its node; and back.
std::string devices_to_text(const HostTopology& topology);
HostTopology devices_from_text(const std::string& text);

/// Lines for people: the nodes, where there are several; then the ranks of one node of each kind, each with
/// device, cores and network card, and how the node's GPUs are linked, or its network interfaces.
std::vector<std::string> describe_layout(const std::vector<RankPlace>& places);

/// One line for each kind of thing that will work badly, its first case named with its cure: ranks that share
/// a GPU, threads that outnumber a node's cores, nodes of unlike numbers of ranks. `places`: one a rank, in
/// rank order.
std::vector<std::string> find_layout_problems(const std::vector<RankPlace>& places);

}  // namespace cola
