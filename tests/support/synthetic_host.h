// A made-up host as hwloc's XML: one package of NUMA domains with cores, GPUs and network cards near them.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace cola {

/// A device's PCI address or interface name, and the NUMA domain it lies near.
using SyntheticDevices = std::vector<std::pair<std::string, int>>;

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
    std::string devices;
    for (const auto& [address, near] : gpus)
      if (near == domain) devices += device_xml(address, "0302 [10de:20b2] [10de:1463] a1", "");
    for (const auto& [name, near] : cards)
      if (near == domain)
        devices += device_xml(
            fmt::format("0000:{:02x}:00.0", 0xe0 + ++cards_), "0200 [17db:0501] [17db:0501] 01",
            fmt::format("<object type=\"OSDev\" {} name=\"{}\" osdev_type=\"2\"/>", next_index(), name));
    if (devices.empty()) return {};
    return fmt::format(
        "<object type=\"Bridge\" {} bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0000:[00-ff]\">{}</object>",
        next_index(), devices);
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
