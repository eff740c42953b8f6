#include "dist/placement/node_layout.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace cola {
namespace {

RankPlace place(int node, int local_rank, const std::string& gpu, std::vector<int> cores, int threads = 1) {
  RankPlace rank;
  rank.host = fmt::format("n{}", node);
  rank.device = gpu.empty() ? "a processor" : "a GPU";
  rank.gpu = gpu;
  rank.node = node;
  rank.local_rank = local_rank;
  rank.threads = threads;
  rank.cores = std::move(cores);
  return rank;
}

TEST(CoreList, IsWrittenInRangesAndReadBack) {
  for (const auto& [cores, text] : std::vector<std::pair<std::vector<int>, std::string>>{
           {{}, ""}, {{5}, "5"}, {{0, 1, 2, 3}, "0-3"}, {{0, 1, 4, 6, 7}, "0-1,4,6-7"}}) {
    EXPECT_EQ(format_cores(cores), text);
    EXPECT_EQ(parse_cores(text), cores);
  }
}

TEST(DeviceList, IsReadBackThoughADeviceHasNoNearCores) {
  HostTopology host;
  host.gpus = {{"0000:07:00.0", {}}, {"0000:46:00.0", {0, 1, 5}}};
  host.network_cards = {{"hsn0", {}}, {"hsn1", {4}}};
  const HostTopology read = devices_from_text(devices_to_text(host));
  EXPECT_EQ(read.gpus, host.gpus);
  EXPECT_EQ(read.network_cards, host.network_cards);
}

TEST(NodeLayout, IsTheSameOnAllRanks) {
  run_on_threads(3, [](Communicator& world) {
    RankPlace mine = place(world.rank() / 2, world.rank() % 2, "0000:01:00.0", {world.rank()});
    mine.gpu_number = 2;
    mine.network_card = "hsn0";
    if (world.rank() == 1) mine.network_devices = "mlx5_0:1,mlx5_1:1";
    if (mine.local_rank == 0) mine.gpu_links = "GPUs 0-1: NVLink between all";
    const auto places = gather_places(world, mine);
    ASSERT_EQ(places.size(), 3u);
    EXPECT_EQ(places[static_cast<std::size_t>(world.rank())], mine);
    EXPECT_EQ(places[2].host, "n1");
  });
}

TEST(NodeLayout, DescribesNodesOfOneKindOnce) {
  const auto lines = describe_layout(
      {place(0, 0, "", {0, 1}), place(0, 1, "", {2, 3}), place(1, 0, "", {0, 1}), place(1, 1, "", {2, 3})});
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "nodes: 2 (n0, n1)");
  EXPECT_EQ(lines[1], "2 ranks on each:");
  EXPECT_EQ(lines[2], "  rank 0 on a processor, cores 0-1");
}

TEST(NodeLayout, DescribesTheOnlyNodeInOneLineAndItsRanks) {
  const auto lines = describe_layout({place(0, 0, "", {0, 1}), place(0, 1, "", {2, 3})});
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "2 ranks on n0:");
}

TEST(NodeLayout, DescribesANodesLinksAndWaysOut) {
  std::vector<RankPlace> places{place(0, 0, "01", {0, 1}), place(0, 1, "02", {2, 3})};
  places[0].network_card = "hsn0";
  places[1].network_devices = "mlx5_1:1";
  places[0].gpu_links = "GPUs 0-1: PCIe between all";
  places[0].interfaces = "eth0";
  const auto lines = describe_layout(places);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0], "2 ranks on n0:");
  EXPECT_EQ(lines[1], "  rank 0 on a GPU at 01, cores 0-1, network card hsn0");
  EXPECT_EQ(lines[2], "  rank 1 on a GPU at 02, cores 2-3, UCX_NET_DEVICES=mlx5_1:1");
  EXPECT_EQ(lines[3], "  GPUs 0-1: PCIe between all");
  EXPECT_EQ(lines[4], "  network interfaces: eth0");
}

TEST(NodeLayout, FindsNothingWrongWithAGoodOne) {
  EXPECT_TRUE(find_layout_problems({place(0, 0, "01", {0, 1}, 2), place(0, 1, "02", {2, 3}, 2)}).empty());
}

void expect_problem(const std::vector<RankPlace>& places, const std::string& words) {
  const auto problems = find_layout_problems(places);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find(words), std::string::npos) << problems[0];
}

TEST(NodeLayout, NamesRanksThatShareAGpu) {
  expect_problem(
      {place(0, 0, "01", {0}), place(0, 1, "01", {1}), place(1, 0, "01", {0}), place(1, 1, "02", {1})},
      "ranks 0 and 1 share GPU 01 on n0");
}

TEST(NodeLayout, NamesThreadsThatOutnumberCores) {
  expect_problem({place(0, 0, "", {0, 1}, 2), place(0, 1, "", {0, 1}, 2)},
                 "4 threads in all share 2 cores of n0");
}

TEST(NodeLayout, SaysOnceWhatIsWrongOnEveryNode) {
  std::vector<RankPlace> places;
  for (int node = 0; node < 100; ++node)
    for (int local_rank = 0; local_rank < 2; ++local_rank)
      places.push_back(place(node, local_rank, "01", {0, 1}, 2));
  const auto problems = find_layout_problems(places);
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_NE(problems[0].find("share GPU 01 on n0"), std::string::npos) << problems[0];
  EXPECT_NE(problems[1].find("share 2 cores of n0"), std::string::npos) << problems[1];
}

TEST(NodeLayout, NamesUnlikeNodes) {
  expect_problem({place(0, 0, "", {0}), place(0, 1, "", {1}), place(1, 0, "", {0})},
                 "some nodes have 1 ranks");
}

}  // namespace
}  // namespace cola
