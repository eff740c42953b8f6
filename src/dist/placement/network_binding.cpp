#include "dist/placement/network_binding.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "core/text.h"
#include "dist/placement/near_device.h"

namespace cola {

namespace {

using Devices = std::vector<HostDevice>;

/// A rank's turn among those that share some cards.
struct Turn {
  std::size_t number = 0, of = 1;
};

std::size_t common_switches(const HostDevice& a, const HostDevice& b) {
  const std::size_t most = std::min(a.switches.size(), b.switches.size());
  std::size_t common = 0;
  while (common < most && a.switches[common] == b.switches[common]) ++common;
  return common;
}

/// Switches on the common way count first, then cores.
std::pair<std::size_t, int> closeness(const HostDevice& gpu, const HostDevice& card) {
  return {common_switches(gpu, card), common_cores(gpu.near_cores, card.near_cores)};
}

/// The cards for which `near` gives the most.
template <typename Near>
std::vector<int> find_nearest(const Devices& cards, Near&& near) {
  std::vector<int> nearest;
  auto most = near(cards.front());
  for (std::size_t number = 0; number < cards.size(); ++number) {
    const auto nearness = near(cards[number]);
    if (most < nearness) nearest.clear();
    most = std::max(most, nearness);
    if (nearness == most) nearest.push_back(static_cast<int>(number));
  }
  return nearest;
}

Turn turn_of_gpu(const HostDevice& mine, const Devices& gpus, const HostDevice& card) {
  Turn turn{0, 0};
  for (const HostDevice& gpu : gpus) {
    if (gpu == mine) turn.number = turn.of;
    if (closeness(gpu, card) == closeness(mine, card)) ++turn.of;
  }
  return turn;
}

// The rank's part of the cores near a card, counted from their first core, where it is bound to a part of
// them: in whatever order the ranks were bound, each finds another number. Hardware threads of its cores may
// be elsewhere in the list, so only the first stretch counts.
std::optional<std::size_t> part_of(const std::vector<int>& cores, const std::vector<int>& near_cores) {
  if (cores.empty() || cores.size() >= near_cores.size() ||
      common_cores(cores, near_cores) < static_cast<int>(cores.size()))
    return std::nullopt;
  const auto first = std::lower_bound(near_cores.begin(), near_cores.end(), cores.front());
  const auto end = std::mismatch(first, near_cores.end(), cores.begin(), cores.end()).first;
  return static_cast<std::size_t>((first - near_cores.begin()) / (end - first));
}

// Where cards lie in several places, launchers deal out the ranks to these evenly: in turn, unless the cores
// say more.
Turn turn_of_rank(const EarlyPlace& rank, std::size_t places, const std::vector<int>& near_cores) {
  const std::size_t of = std::max<std::size_t>(1, static_cast<std::size_t>(rank.local_size) / places);
  const std::size_t in_turn = static_cast<std::size_t>(rank.local_rank) / places;
  return {part_of(rank.cores, near_cores).value_or(in_turn) % of, of};
}

std::vector<int> deal(const std::vector<int>& cards, Turn turn) {
  if (turn.of >= cards.size()) return {cards[turn.number * cards.size() / turn.of]};
  std::vector<int> dealt;
  for (std::size_t place = 0; place < cards.size(); ++place)
    if (place * turn.of / cards.size() == turn.number) dealt.push_back(cards[place]);
  return dealt;
}

std::vector<int> choose_near_cores(const EarlyPlace& rank, const Devices& cards) {
  const std::vector<int> nearest =
      find_nearest(cards, [&](const HostDevice& card) { return common_cores(rank.cores, card.near_cores); });
  const HostDevice& first = cards[static_cast<std::size_t>(nearest.front())];
  return deal(nearest, turn_of_rank(rank, cards.size() / nearest.size(), first.near_cores));
}

bool is_settled(const VariableLookup& lookup, const std::string& name) {
  if (lookup(name)) return true;
  const std::string home = lookup("HOME").value_or("");
  if (name.starts_with("UCX_"))
    return is_set_in_files(name, {"/etc/ucx/ucx.conf", home + "/ucx.conf", "ucx.conf",
                                  lookup("UCX_CONFIG_DIR").value_or("") + "/ucx.conf"});
  return is_set_in_files(name, {"/etc/nccl.conf", lookup("NCCL_CONF_FILE").value_or(home + "/.nccl.conf")});
}

// Those that have a value here, and none yet.
std::vector<NetworkVariable> open_ones_of(std::vector<NetworkVariable> variables,
                                          const VariableLookup& lookup) {
  std::erase_if(variables, [&](const NetworkVariable& variable) {
    return variable.value.empty() || is_settled(lookup, variable.name);
  });
  return variables;
}

}  // namespace

std::vector<int> choose_network_cards(const EarlyPlace& rank, const Devices& gpus, const Devices& cards) {
  const auto gpu =
      std::find_if(gpus.begin(), gpus.end(), [&](const auto& device) { return device.name == rank.gpu; });
  if (rank.gpu.empty() || gpu == gpus.end()) return choose_near_cores(rank, cards);
  const std::vector<int> nearest =
      find_nearest(cards, [&](const HostDevice& card) { return closeness(*gpu, card); });
  return deal(nearest, turn_of_gpu(*gpu, gpus, cards[static_cast<std::size_t>(nearest.front())]));
}

std::string choose_ucx_devices(const EarlyPlace& rank, const HostTopology& host) {
  Devices cards;
  for (const HostDevice& card : host.network_cards)
    if (card.infiniband_port > 0) cards.push_back(card);
  if (cards.size() < 2) return "";
  for (const HostDevice& card : cards)
    if (card.subnet != cards.front().subnet) return "";
  const std::vector<int> chosen = choose_network_cards(rank, host.gpus, cards);
  if (chosen.size() == cards.size()) return "";
  std::vector<std::string> devices;
  for (const int number : chosen) {
    const HostDevice& card = cards[static_cast<std::size_t>(number)];
    devices.push_back(fmt::format("{}:{}", card.name, card.infiniband_port));
  }
  return fmt::format("{}", fmt::join(devices, ","));
}

std::vector<NetworkVariable> choose_network_variables(const EarlyPlace& rank, const HostTopology& host,
                                                      const std::vector<std::string>& interfaces, bool on_gpu,
                                                      const VariableLookup& lookup) {
  const bool slingshot = std::any_of(interfaces.begin(), interfaces.end(),
                                     [](const std::string& name) { return name.starts_with("hsn"); });
  std::vector<NetworkVariable> variables{{"UCX_NET_DEVICES", choose_ucx_devices(rank, host)},
                                         {"NCCL_SOCKET_IFNAME", slingshot && on_gpu ? "hsn" : ""}};
  return open_ones_of(std::move(variables), lookup);
}

std::vector<NetworkVariable> choose_nccl_variables(const VariableLookup& lookup) {
  return open_ones_of({{"NCCL_NVLS_ENABLE", "0"}, {"NCCL_RUNTIME_CONNECT", "0"}}, lookup);
}

bool is_set_in_files(const std::string& variable, const std::vector<std::string>& files) {
  constexpr const char* blanks = " \t";
  for (const std::string& file : files)
    for (const std::string& line : lines_of_file(file)) {
      const std::size_t begin = line.find_first_not_of(blanks);
      if (begin == std::string::npos || line.compare(begin, variable.size(), variable) != 0) continue;
      const std::size_t next = line.find_first_not_of(blanks, begin + variable.size());
      if (next != std::string::npos && line[next] == '=') return true;
    }
  return false;
}

std::string describe_network_variables(const VariableLookup& lookup) {
  std::vector<std::string> set;
  for (const char* name : {"MPICH_OFI_NIC_POLICY", "UCX_TLS", "FI_PROVIDER", "NCCL_NET", "NCCL_IB_HCA",
                           "NCCL_SOCKET_IFNAME", "NCCL_CROSS_NIC", "NCCL_NET_GDR_LEVEL"})
    if (const std::optional<std::string> value = lookup(name))
      set.push_back(fmt::format("{}={}", name, *value));
  return fmt::format("{}", fmt::join(set, ", "));
}

bool may_have_several_cards(const VariableLookup& lookup) {
  if (lookup("HWLOC_XMLFILE")) return true;
  std::error_code error;
  const std::filesystem::directory_iterator cards("/sys/class/infiniband", error);
  return !error && std::distance(begin(cards), end(cards)) > 1;
}

}  // namespace cola
