#include "core/host_topology.h"

#include <fmt/format.h>
#include <hwloc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <tuple>
#include <type_traits>

#include "core/error.h"

namespace cola {

namespace {

using Topology = std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, decltype(&hwloc_topology_destroy)>;

constexpr unsigned nvidia_vendor = 0x10de;
constexpr unsigned display_classes = 0x03;  // the upper byte of a PCI class: VGA and 3D controllers

Topology load(const std::string* xml) {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) throw Error("hwloc cannot be started");
  Topology topology(raw, hwloc_topology_destroy);
  if (xml && hwloc_topology_set_xmlbuffer(raw, xml->c_str(), static_cast<int>(xml->size()) + 1) != 0)
    throw FileError("this is no hwloc topology in XML");
  hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  // Cores outside this process's binding too: other ranks are bound there.
  hwloc_topology_set_flags(raw, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  if (hwloc_topology_load(raw) != 0) throw FileError("hwloc cannot read the topology");
  return topology;
}

std::vector<int> cores_near(hwloc_topology_t topology, hwloc_obj_t device) {
  const hwloc_obj_t place = hwloc_get_non_io_ancestor_obj(topology, device);
  std::vector<int> cores;
  for (int core = hwloc_bitmap_first(place->cpuset); core >= 0; core = hwloc_bitmap_next(place->cpuset, core))
    cores.push_back(core);
  return cores;
}

std::string address_of(const hwloc_obj_attr_u::hwloc_pcidev_attr_s& pci) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", unsigned{pci.domain}, unsigned{pci.bus}, unsigned{pci.dev},
                     unsigned{pci.func});
}

// Without the host's own bridge: what lies below no other is near by its cores alone.
std::vector<std::string> switches_above(hwloc_obj_t device) {
  std::vector<std::string> switches;
  for (hwloc_obj_t above = device->parent; above && above->type == HWLOC_OBJ_BRIDGE; above = above->parent)
    if (above->attr->bridge.upstream_type == HWLOC_OBJ_BRIDGE_PCI)
      switches.push_back(address_of(above->attr->bridge.upstream.pci));
  std::reverse(switches.begin(), switches.end());
  return switches;
}

std::string info_of(hwloc_obj_t object, const std::string& name) {
  const char* value = hwloc_obj_get_info_by_name(object, name.c_str());
  return value ? value : "";
}

// Ethernet ports of such cards (RoCE) are active too, but have no local identifier (LID).
void find_infiniband_port(hwloc_obj_t card, HostDevice& device) {
  constexpr const char* active = "4";
  for (int port = 1; !info_of(card, fmt::format("Port{}State", port)).empty(); ++port) {
    const std::string lid = info_of(card, fmt::format("Port{}LID", port));
    if (info_of(card, fmt::format("Port{}State", port)) != active) continue;
    if (std::strtol(lid.c_str(), nullptr, 0) == 0) continue;
    device.infiniband_port = port;
    device.subnet = info_of(card, fmt::format("Port{}GID0", port)).substr(0, 19);  // four groups of digits
    return;
  }
}

std::vector<HostDevice> find_gpus(hwloc_topology_t topology) {
  std::vector<HostDevice> gpus;
  hwloc_obj_t object = nullptr;
  while ((object = hwloc_get_next_pcidev(topology, object))) {
    const auto& pci = object->attr->pcidev;
    if (pci.vendor_id != nvidia_vendor || pci.class_id >> 8 != display_classes) continue;
    gpus.push_back({address_of(pci), cores_near(topology, object), switches_above(object)});
  }
  std::sort(gpus.begin(), gpus.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return gpus;
}

// Slingshot's interfaces are network devices named hsn0, hsn1, ...; InfiniBand's are of a type of their own.
std::vector<HostDevice> find_network_cards(hwloc_topology_t topology) {
  std::vector<HostDevice> cards;
  hwloc_obj_t object = nullptr;
  while ((object = hwloc_get_next_osdev(topology, object))) {
    const std::string name = object->name ? object->name : "";
    const bool fabric = object->attr->osdev.type == HWLOC_OBJ_OSDEV_OPENFABRICS || name.starts_with("hsn");
    if (!fabric) continue;
    HostDevice& card = cards.emplace_back(HostDevice{name, cores_near(topology, object)});
    if (object->parent) card.switches = switches_above(object->parent);
    find_infiniband_port(object, card);
  }
  std::sort(cards.begin(), cards.end(), [](const auto& a, const auto& b) {
    return std::tuple(a.name.size(), a.name) < std::tuple(b.name.size(), b.name);
  });
  return cards;
}

HostTopology read(hwloc_topology_t topology) {
  return {std::max(0, hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU)), find_gpus(topology),
          find_network_cards(topology)};
}

}  // namespace

HostTopology read_host_topology() {
  try {
    return read(load(nullptr).get());
  } catch (const Error&) {
    return {};
  }
}

HostTopology read_host_topology(const std::string& xml) {
  return read(load(&xml).get());
}

}  // namespace cola
