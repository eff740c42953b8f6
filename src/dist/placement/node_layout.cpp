#include "dist/placement/node_layout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "dist/placement/gpu_place.h"

namespace cola {

namespace {

using Places = std::vector<RankPlace>;

// One field a line.
std::string to_text(const RankPlace& place) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", place.host, place.device, place.gpu,
                     place.network_card, place.network_devices, place.gpu_links, place.interfaces,
                     format_cores(place.cores), place.gpu_number, place.node, place.local_rank,
                     place.threads);
}

RankPlace from_text(const std::string& text) {
  std::istringstream lines(text);
  RankPlace place;
  std::string cores;
  for (std::string* field : {&place.host, &place.device, &place.gpu, &place.network_card,
                             &place.network_devices, &place.gpu_links, &place.interfaces, &cores})
    std::getline(lines, *field);
  lines >> place.gpu_number >> place.node >> place.local_rank >> place.threads;
  place.cores = parse_cores(cores);
  return place;
}

std::map<std::int64_t, Places> by_node(const Places& places) {
  std::map<std::int64_t, Places> nodes;
  for (const RankPlace& place : places) nodes[place.node].push_back(place);
  for (auto& [node, ranks] : nodes)
    std::sort(ranks.begin(), ranks.end(),
              [](const RankPlace& a, const RankPlace& b) { return a.local_rank < b.local_rank; });
  return nodes;
}

std::string describe_rank(const RankPlace& place) {
  std::string text = fmt::format("rank {} on {}", place.local_rank, place.device);
  if (!place.gpu.empty()) text += fmt::format(" at {}", place.gpu);
  text += fmt::format(", cores {}", format_cores(place.cores));
  if (!place.network_card.empty()) text += fmt::format(", network card {}", place.network_card);
  if (!place.network_devices.empty()) text += fmt::format(", UCX_NET_DEVICES={}", place.network_devices);
  return text;
}

// One line a rank, then what the node's first rank says of the node.
std::vector<std::string> describe_node(const Places& ranks) {
  std::vector<std::string> lines;
  for (const RankPlace& place : ranks) lines.push_back(describe_rank(place));
  const RankPlace& first = ranks.front();
  if (!first.gpu_links.empty()) lines.push_back(first.gpu_links);
  if (!first.interfaces.empty()) lines.push_back("network interfaces: " + first.interfaces);
  return lines;
}

std::string list_hosts(const std::vector<std::string>& hosts) {
  constexpr std::size_t most = 8;
  if (hosts.size() <= most) return fmt::format("{}", fmt::join(hosts, ", "));
  return fmt::format("{}, ..., {}", fmt::join(hosts.begin(), hosts.begin() + most - 1, ", "), hosts.back());
}

// Each of the three names the first place only, for a whole job is mostly wrong in one way.
std::string find_shared_gpus(const Places& places) {
  std::vector<std::string> gpus;
  for (const RankPlace& place : places)
    gpus.push_back(place.gpu.empty() ? "" : gpu_place(place.gpu, place.host));
  const std::string shared = find_shared_gpu(gpus);
  if (shared.empty()) return "";
  return shared +
         ": start one rank a GPU (--ntasks-per-node, --ppn), and let every rank see all GPUs of its node";
}

std::string find_crowded_cores(const std::map<std::int64_t, Places>& nodes) {
  for (const auto& [node, ranks] : nodes) {
    std::set<int> cores;
    std::int64_t threads = 0;
    for (const RankPlace& place : ranks) {
      cores.insert(place.cores.begin(), place.cores.end());
      threads += place.threads;
    }
    if (threads > static_cast<std::int64_t>(cores.size()))
      return fmt::format(
          "{} ranks with {} threads in all share {} cores of {}: start fewer ranks a node, bind them to "
          "cores of their own (--cpu-bind=cores, --bind-to core), or lower train.threads",
          ranks.size(), threads, cores.size(), ranks.front().host);
  }
  return "";
}

std::string find_unlike_nodes(const std::map<std::int64_t, Places>& nodes) {
  const auto fewer = [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); };
  const auto [fewest, most] = std::minmax_element(nodes.begin(), nodes.end(), fewer);
  if (fewest->second.size() == most->second.size()) return "";
  return fmt::format(
      "some nodes have {} ranks and some {}: give every node as many (--ntasks-per-node, --ppn)",
      fewest->second.size(), most->second.size());
}

}  // namespace

std::vector<RankPlace> gather_places(Communicator& world, const RankPlace& mine) {
  Places places;
  for (const std::string& text : world.all_gather(to_text(mine))) places.push_back(from_text(text));
  return places;
}

std::string format_cores(const std::vector<int>& cores) {
  std::string text;
  for (std::size_t first = 0; first < cores.size();) {
    std::size_t last = first;
    while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) ++last;
    if (!text.empty()) text += ",";
    text += last == first ? fmt::format("{}", cores[first]) : fmt::format("{}-{}", cores[first], cores[last]);
    first = last + 1;
  }
  return text;
}

std::vector<int> parse_cores(const std::string& text) {
  std::vector<int> cores;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const std::size_t dash = part.find('-');
    const int first = std::stoi(part),
              last = dash == std::string::npos ? first : std::stoi(part.substr(dash + 1));
    for (int core = first; core <= last; ++core) cores.push_back(core);
  }
  return cores;
}

// A device a line: its kind, name and cores, which may be none.
std::string devices_to_text(const HostTopology& topology) {
  std::string text;
  for (const HostDevice& gpu : topology.gpus)
    text += fmt::format("g {} {}\n", gpu.name, format_cores(gpu.near_cores));
  for (const HostDevice& card : topology.network_cards)
    text += fmt::format("n {} {}\n", card.name, format_cores(card.near_cores));
  return text;
}

HostTopology devices_from_text(const std::string& text) {
  HostTopology topology;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kind, name, cores;
    words >> kind >> name >> cores;
    (kind == "g" ? topology.gpus : topology.network_cards).push_back({name, parse_cores(cores)});
  }
  return topology;
}

std::vector<std::string> describe_layout(const std::vector<RankPlace>& places) {
  std::vector<std::string> hosts;
  // What a node looks like, its ranks and what is said of them -> the hosts that look so.
  std::map<std::pair<std::size_t, std::vector<std::string>>, std::vector<std::string>> kinds;
  for (const auto& [node, ranks] : by_node(places)) {
    hosts.push_back(ranks.front().host);
    kinds[{ranks.size(), describe_node(ranks)}].push_back(ranks.front().host);
  }
  std::vector<std::string> lines;
  if (hosts.size() > 1) lines.push_back(fmt::format("nodes: {} ({})", hosts.size(), list_hosts(hosts)));
  for (const auto& [kind, alike] : kinds) {
    const auto& [ranks, said] = kind;
    lines.push_back(fmt::format("{} {} on {}:", ranks, ranks == 1 ? "rank" : "ranks",
                                kinds.size() == 1 && hosts.size() > 1 ? "each" : list_hosts(alike)));
    for (const std::string& line : said) lines.push_back("  " + line);
  }
  return lines;
}

std::vector<std::string> find_layout_problems(const std::vector<RankPlace>& places) {
  const auto nodes = by_node(places);
  std::vector<std::string> problems{find_shared_gpus(places), find_crowded_cores(nodes),
                                    find_unlike_nodes(nodes)};
  std::erase(problems, "");
  return problems;
}

}  // namespace cola
