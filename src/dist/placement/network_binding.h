// Network binding: which network cards a rank's transports are told to use before they start, and which they
// are left to choose. Pure functions, but for the last one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/host_topology.h"
#include "dist/placement/environment_variables.h"

namespace cola {

/// What a rank knows of itself before MPI starts.
struct EarlyPlace {
  int local_rank = 0, local_size = 1;  // on its node
  std::vector<int> cores;              // those it may use
  std::string gpu = {};                // its PCI address; empty on the CPU, and where it is not known
};

/// For one rank, the numbers of its cards among `cards`, which must not be empty: those nearest to its GPU,
/// by PCI switches and then by cores, or to its cores. Cards that are equally near are dealt out among the
/// ranks they are near to: one a rank, or several where there are more cards than such ranks. Whose turn it
/// is, a rank tells from the GPUs of the node, from its own cores where it is bound to a part of those near
/// the cards, or else from its local rank: other ranks cannot be asked yet.
std::vector<int> choose_network_cards(const EarlyPlace& rank, const std::vector<HostDevice>& gpus,
                                      const std::vector<HostDevice>& cards);

/// The value of UCX_NET_DEVICES for this rank: its cards among those with an active InfiniBand port. Empty,
/// that is UCX's own choice, where there is nothing to deal out (fewer than two such cards, or all of them
/// are this rank's), and where two of them are in different subnets, for then ranks might not reach each
/// other.
std::string choose_ucx_devices(const EarlyPlace& rank, const HostTopology& host);

/// An environment variable that a transport reads when it starts.
struct NetworkVariable {
  std::string name, value;
  bool operator==(const NetworkVariable&) const = default;
};

/// The variables to set for this rank, those left out that are set already, by the user or in a library's
/// configuration file. `interfaces`: the host's network interfaces that have an address.
/// - UCX_NET_DEVICES as above.
/// - NCCL_SOCKET_IFNAME=hsn, for a rank on a GPU of a host with Slingshot interfaces: all of them, alike on
///   all ranks.
/// NCCL_IB_HCA is never among them: NCCL wants every rank of a node to see all cards.
std::vector<NetworkVariable> choose_network_variables(const EarlyPlace& rank, const HostTopology& host,
                                                      const std::vector<std::string>& interfaces, bool on_gpu,
                                                      const VariableLookup& lookup);

/// What NCCL is told beside its network, on every rank alike; those left out that are set already.
/// - NCCL_NVLS_ENABLE=0: sums made in NVLink's switches may differ from one call to the next, and a run is to
///   be repeatable to the bit.
/// - NCCL_RUNTIME_CONNECT=0: ranks connect, and take the memory for it, when NCCL starts: before it is seen
///   what fits beside that, and not in the first step.
std::vector<NetworkVariable> choose_nccl_variables(const VariableLookup& lookup);

/// Whether one of these files, as UCX and NCCL read them, sets the variable in a line NAME=VALUE.
bool is_set_in_files(const std::string& variable, const std::vector<std::string>& files);

/// The network variables that are set, by whomever, as the start report shows them: "NAME=VALUE, ...".
std::string describe_network_variables(const VariableLookup& lookup);

/// Whether it is worth asking hwloc, which takes a while: this host has several cards of the kind that
/// choose_ucx_devices deals out, or hwloc is told by HWLOC_XMLFILE to read of another host.
bool may_have_several_cards(const VariableLookup& lookup);

}  // namespace cola
