// HostTopology: which cores of this host lie near which of its GPUs and network cards, and these near each
// other, as hwloc finds it.
#pragma once

#include <string>
#include <vector>

namespace cola {

struct HostDevice {
  std::string name;             // a GPU's PCI address, a network card's interface: "0000:c7:00.0", "hsn0"
  std::vector<int> near_cores;  // by number, as usable_core_ids counts them
  std::vector<std::string> switches = {};  // PCI bridges above it, from the processor's side on
  int infiniband_port = 0;  // a card's first active InfiniBand port; 0: none, Ethernet included
  std::string subnet = {};  // that port's: the first half of its address (GID)
  bool operator==(const HostDevice&) const = default;
};

struct HostTopology {
  int cores = 0;                          // what the system schedules on, hardware threads too
  std::vector<HostDevice> gpus;           // NVIDIA's, in the order of their PCI addresses
  std::vector<HostDevice> network_cards;  // those that MPI uses between nodes, in the order of names
};

/// Of the host this runs on, whatever cores the process is bound to. Empty where hwloc cannot read it.
HostTopology read_host_topology();
/// Of a host described in hwloc's XML format. Throws FileError.
HostTopology read_host_topology(const std::string& xml);

}  // namespace cola
