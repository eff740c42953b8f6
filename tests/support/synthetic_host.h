// A made-up host as hwloc's XML: one package of NUMA domains with cores, GPUs and network cards near them.
#pragma once

#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

namespace cola {

/// A device's PCI address or interface name, and the NUMA domain it lies near; the PCI switch that it shares
/// with others of the domain, if any. Cards named mlx5_* are of InfiniBand, their first port active with a
/// local identifier, or as `port` says.
struct SyntheticPort {
  int state = 4, lid = 0x6f;
  std::string subnet = "fe80:0000:0000:0000";
};
struct SyntheticDevice {
  std::string name;
  int domain = 0, pci_switch = -1;
  SyntheticPort port = {};
};
using SyntheticDevices = std::vector<SyntheticDevice>;

class SyntheticHost {
 public:
  SyntheticHost(int domains, int cores_a_domain) : domains_(domains), cores_(cores_a_domain) {}

  /// At most 32 cores: sets are written as one word.
  std::string xml(const SyntheticDevices& gpus, const SyntheticDevices& cards) {
    std::string body;
    for (int domain = 0; domain < domains_; ++domain) body += domain_xml(domain, gpus, cards);
    const std::string all = sets(0, domains_ * cores_, 0, domains_);
    return fmt::format(
        "<?xml version=\"1.0\"?><!DOCTYPE topology SYSTEM \"hwloc2.dtd\"><topology version=\"2.0\">"
        "<object type=\"Machine\" os_index=\"0\" {0} {1}><object type=\"Package\" os_index=\"0\" {0} {2}>{3}"
        "</object></object></topology>",
        all, next_index(), next_index(), body);
  }

 private:
  static std::string sets(int first_core, int cores, int first_domain, int domains) {
    const auto mask = [](int first, int count) { return ((std::uint64_t{1} << count) - 1) << first; };
    const std::uint64_t cpus = mask(first_core, cores), nodes = mask(first_domain, domains);
    return fmt::format(
        "cpuset=\"0x{0:08x}\" complete_cpuset=\"0x{0:08x}\" allowed_cpuset=\"0x{0:08x}\" "
        "nodeset=\"0x{1:08x}\" "
        "complete_nodeset=\"0x{1:08x}\" allowed_nodeset=\"0x{1:08x}\"",
        cpus, nodes);
  }
  std::string next_index() { return fmt::format("gp_index=\"{}\"", ++index_); }

  std::string domain_xml(int domain, const SyntheticDevices& gpus, const SyntheticDevices& cards) {
    const std::string all = sets(domain * cores_, cores_, domain, 1);
    std::string xml = fmt::format(
        "<object type=\"Group\" {0} {1} kind=\"1001\" subkind=\"0\">"
        "<object type=\"NUMANode\" os_index=\"{2}\" {0} {3} local_memory=\"1024\"/>",
        all, next_index(), domain, next_index());
    for (int core = domain * cores_; core < (domain + 1) * cores_; ++core) {
      const std::string own = sets(core, 1, domain, 1);
      xml += fmt::format(
          "<object type=\"Core\" os_index=\"{0}\" {1} {2}>"
          "<object type=\"PU\" os_index=\"{0}\" {1} {3}/></object>",
          core, own, next_index(), next_index());
    }
    return xml + bridge_xml(domain, gpus, cards) + "</object>";
  }

  std::string bridge_xml(int domain, const SyntheticDevices& gpus, const SyntheticDevices& cards) {
    std::map<int, std::string> behind;  // a switch
    for (const SyntheticDevice& gpu : gpus)
      if (gpu.domain == domain)
        behind[gpu.pci_switch] += device_xml(gpu.name, "0302 [10de:20b2] [10de:1463] a1", "");
    for (const SyntheticDevice& card : cards)
      if (card.domain == domain)
        behind[card.pci_switch] += device_xml(fmt::format("0000:{:02x}:00.0", 0xe0 + ++cards_),
                                              "0200 [17db:0501] [17db:0501] 01", interface_xml(card));
    if (behind.empty()) return {};
    std::string devices;
    for (const auto& [number, below] : behind) devices += number < 0 ? below : switch_xml(number, below);
    return fmt::format(
        "<object type=\"Bridge\" {} bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0000:[00-ff]\">{}</object>",
        next_index(), devices);
  }

  std::string switch_xml(int number, const std::string& below) {
    return fmt::format(
        "<object type=\"Bridge\" {} bridge_type=\"1-1\" depth=\"1\" bridge_pci=\"0000:[00-ff]\" "
        "pci_busid=\"0000:00:{:02x}.0\" pci_type=\"0604 [1000:c010] [1000:a064] b0\" "
        "pci_link_speed=\"0\">{}</object>",
        next_index(), number, below);
  }

  std::string interface_xml(const SyntheticDevice& card) {
    if (!card.name.starts_with("mlx5_"))
      return fmt::format("<object type=\"OSDev\" {} name=\"{}\" osdev_type=\"2\"/>", next_index(), card.name);
    const SyntheticPort& port = card.port;
    return fmt::format(
        "<object type=\"OSDev\" {} name=\"{}\" osdev_type=\"3\">"
        "<info name=\"Port1State\" value=\"{}\"/><info name=\"Port1LID\" value=\"0x{:x}\"/>"
        "<info name=\"Port1GID0\" value=\"{}:0002:c903:0000:43e9\"/></object>",
        next_index(), card.name, port.state, port.lid, port.subnet);
  }

  std::string device_xml(const std::string& address, const std::string& type, const std::string& inner) {
    return fmt::format(
        "<object type=\"PCIDev\" {} pci_busid=\"{}\" pci_type=\"{}\" pci_link_speed=\"0\">{}</object>",
        next_index(), address, type, inner);
  }

  int domains_, cores_;
  int index_ = 0, cards_ = 0;
};

inline std::string synthetic_host(int domains, int cores_a_domain, const SyntheticDevices& gpus,
                                  const SyntheticDevices& cards) {
  return SyntheticHost(domains, cores_a_domain).xml(gpus, cards);
}

}  // namespace cola
