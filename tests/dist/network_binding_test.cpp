#include "dist/placement/network_binding.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include "core/host_topology.h"
#include "support/made_up_variables.h"
#include "support/synthetic_host.h"

namespace cola {
namespace {

std::vector<int> range(int first, int count) {
  std::vector<int> cores(static_cast<std::size_t>(count));
  std::iota(cores.begin(), cores.end(), first);
  return cores;
}

std::vector<int> joined(std::vector<int> cores, const std::vector<int>& more) {
  cores.insert(cores.end(), more.begin(), more.end());
  return cores;
}

const VariableLookup nothing_set = made_up({});

HostTopology host(int domains, int cores_a_domain, const SyntheticDevices& gpus,
                  const SyntheticDevices& cards) {
  return read_host_topology(synthetic_host(domains, cores_a_domain, gpus, cards));
}

// Two sockets, each with two PCI switches, behind each of which lie two GPUs and two cards.
HostTopology dgx(bool with_gpus = true) {
  SyntheticDevices gpus, cards;
  for (int number = 0; number < 8; ++number) {
    gpus.push_back({fmt::format("0000:{:02x}:00.0", 0x10 + number), number / 4, 1 + number / 2});
    cards.push_back({fmt::format("mlx5_{}", number), number / 4, 1 + number / 2});
  }
  return host(2, 16, with_gpus ? gpus : SyntheticDevices{}, cards);
}

// A socket of four NUMA domains, GPUs in reverse, Slingshot cards at two of the domains.
HostTopology polaris() {
  return host(4, 8, {{"0000:07:00.0", 3}, {"0000:46:00.0", 2}, {"0000:85:00.0", 1}, {"0000:c7:00.0", 0}},
              {{"hsn0", 1}, {"hsn1", 3}});
}

HostTopology perlmutter() {
  return host(4, 8, {{"0000:03:00.0", 3}, {"0000:41:00.0", 2}, {"0000:82:00.0", 1}, {"0000:c1:00.0", 0}},
              {{"hsn0", 3}, {"hsn1", 2}, {"hsn2", 1}, {"hsn3", 0}});
}

TEST(NetworkCards, AreFoundWithSwitchPortAndSubnet) {
  const HostTopology node = dgx();
  ASSERT_EQ(node.network_cards.size(), 8u);
  EXPECT_EQ(node.network_cards[5].name, "mlx5_5");
  EXPECT_EQ(node.network_cards[5].infiniband_port, 1);
  EXPECT_EQ(node.network_cards[5].subnet, "fe80:0000:0000:0000");
  EXPECT_EQ(node.network_cards[5].switches, std::vector<std::string>{"0000:00:03.0"});
  EXPECT_EQ(node.gpus[5].switches, node.network_cards[5].switches);
  EXPECT_EQ(polaris().network_cards[0].infiniband_port, 0);
}

TEST(NetworkCards, AreThoseBehindTheSwitchOfTheGpu) {
  const HostTopology node = dgx();
  for (int number = 0; number < 8; ++number) {
    const std::string gpu = node.gpus[static_cast<std::size_t>(number)].name;
    EXPECT_EQ(choose_network_cards({number, 8, range(0, 32), gpu}, node.gpus, node.network_cards),
              std::vector<int>{number});
  }
}

// Near the same cores, but in another order.
TEST(NetworkCards, FollowSwitchesAndNotTheirOrder) {
  const HostTopology node = host(1, 16, {{"0000:10:00.0", 0, 1}, {"0000:11:00.0", 0, 2}},
                                 {{"mlx5_0", 0, 2}, {"mlx5_1", 0, 1}, {"mlx5_2", 0}});
  EXPECT_EQ(choose_ucx_devices({0, 2, range(0, 16), "0000:10:00.0"}, node), "mlx5_1:1");
  EXPECT_EQ(choose_ucx_devices({1, 2, range(0, 16), "0000:11:00.0"}, node), "mlx5_0:1");
}

TEST(NetworkCards, OfAGpuBehindNoSwitchAreNearItsCores) {
  const HostTopology node = perlmutter();
  for (int number = 0; number < 4; ++number)
    EXPECT_EQ(
        choose_network_cards({number, 4, range(0, 32), node.gpus[static_cast<std::size_t>(number)].name},
                             node.gpus, node.network_cards),
        std::vector<int>{number});
  // Two GPUs of Polaris have a card in their domain; the others share both cards.
  const HostTopology other = polaris();
  EXPECT_EQ(choose_network_cards({0, 4, {}, "0000:07:00.0"}, other.gpus, other.network_cards),
            std::vector<int>{1});
  EXPECT_EQ(choose_network_cards({0, 4, {}, "0000:85:00.0"}, other.gpus, other.network_cards),
            std::vector<int>{0});
  const auto second = choose_network_cards({1, 4, {}, "0000:46:00.0"}, other.gpus, other.network_cards);
  const auto fourth = choose_network_cards({3, 4, {}, "0000:c7:00.0"}, other.gpus, other.network_cards);
  EXPECT_NE(second, fourth);
}

// Each of eight ranks one of eight cards, near it, in whatever order the launcher bound them.
TEST(NetworkCards, AreDealtOutByBoundCores) {
  const HostTopology node = dgx(false);
  for (const bool cyclic : {false, true})
    for (int rank = 0; rank < 8; ++rank) {
      const int part = cyclic ? rank / 2 + 4 * (rank % 2) : rank;
      EXPECT_EQ(choose_network_cards({rank, 8, range(4 * part, 4)}, {}, node.network_cards),
                std::vector<int>{part});
    }
}

TEST(NetworkCards, AreDealtOutByLocalRankToRanksThatShareCores) {
  const HostTopology node = dgx(false);
  for (int rank = 0; rank < 8; ++rank) {
    EXPECT_EQ(choose_network_cards({rank, 8, range(0, 32)}, {}, node.network_cards), std::vector<int>{rank});
    // Bound to whole sockets in turn, as mpirun does by default.
    EXPECT_EQ(choose_network_cards({rank, 8, range(16 * (rank % 2), 16)}, {}, node.network_cards),
              std::vector<int>{4 * (rank % 2) + rank / 2});
  }
}

TEST(NetworkCards, AreSeveralForARankWhereThereAreMore) {
  const HostTopology node = dgx(false);
  EXPECT_EQ(choose_network_cards({0, 2, range(0, 16)}, {}, node.network_cards),
            (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(choose_network_cards({3, 4, range(24, 8)}, {}, node.network_cards), (std::vector<int>{6, 7}));
  EXPECT_EQ(choose_network_cards({0, 1, range(0, 32)}, {}, node.network_cards), range(0, 8));
}

TEST(NetworkCards, AreSharedEvenlyWhereTheyAreFewer) {
  const HostTopology node = host(2, 16, {}, {{"mlx5_0", 0}, {"mlx5_1", 1}});
  const HostTopology one_domain = host(1, 32, {}, {{"mlx5_0", 0}, {"mlx5_1", 0}});
  for (int rank = 0; rank < 8; ++rank) {
    EXPECT_EQ(choose_network_cards({rank, 8, range(4 * rank, 4)}, {}, node.network_cards),
              std::vector<int>{rank / 4});
    EXPECT_EQ(choose_network_cards({rank, 8, range(4 * rank, 4)}, {}, one_domain.network_cards),
              std::vector<int>{rank / 4});
  }
}

// Cores 0-7 and 16-23 are hardware threads of the same eight cores; srun may leave the second ones out.
TEST(NetworkCards, AreDealtOutWithHardwareThreadsToo) {
  const std::vector<int> all = range(0, 32);
  const std::vector<HostDevice> cards{{"mlx5_0", all}, {"mlx5_1", all}};
  for (const bool both : {true, false})
    for (int rank = 0; rank < 4; ++rank) {
      const std::vector<int> cores =
          both ? joined(range(4 * rank, 4), range(16 + 4 * rank, 4)) : range(4 * rank, 4);
      EXPECT_EQ(choose_network_cards({rank, 4, cores}, {}, cards), std::vector<int>{rank / 2});
    }
}

TEST(UcxDevices, NameTheRanksCardAndItsPort) {
  const HostTopology node = dgx();
  EXPECT_EQ(choose_ucx_devices({3, 8, range(0, 32), node.gpus[3].name}, node), "mlx5_3:1");
  EXPECT_EQ(choose_ucx_devices({2, 4, range(16, 8)}, node), "mlx5_4:1,mlx5_5:1");
}

TEST(UcxDevices, AreLeftToUcxWhereThereIsNothingToDealOut) {
  EXPECT_EQ(choose_ucx_devices({0, 1, range(0, 32)}, dgx(false)), "");
  EXPECT_EQ(choose_ucx_devices({0, 4, range(0, 8)}, host(4, 8, {}, {{"mlx5_0", 0}})), "");
  EXPECT_EQ(choose_ucx_devices({0, 4, range(0, 8)}, host(4, 8, {}, {})), "");
  EXPECT_EQ(choose_ucx_devices({0, 4, range(0, 8)}, perlmutter()), "");
  EXPECT_EQ(choose_ucx_devices({0, 4, range(0, 8)}, HostTopology{}), "");
}

TEST(UcxDevices, NeedActiveInfiniBandPorts) {
  const SyntheticPort down{1, 0x6f}, ethernet{4, 0};
  EXPECT_EQ(choose_ucx_devices({0, 2, range(0, 8)}, host(2, 8, {}, {{"mlx5_0", 0, -1, down}, {"mlx5_1", 1}})),
            "");
  EXPECT_EQ(choose_ucx_devices({0, 2, range(0, 8)},
                               host(2, 8, {}, {{"mlx5_0", 0, -1, ethernet}, {"mlx5_1", 1, -1, ethernet}})),
            "");
  // The management network's card is the nearest one, but none to take.
  EXPECT_EQ(choose_ucx_devices({0, 2, range(0, 8)},
                               host(2, 8, {}, {{"mlx5_0", 0, -1, ethernet}, {"mlx5_1", 0}, {"mlx5_2", 1}})),
            "mlx5_1:1");
}

TEST(UcxDevices, AreLeftToUcxWhereSubnetsDiffer) {
  SyntheticPort other;
  other.subnet = "fec0:0000:0000:0001";
  EXPECT_EQ(
      choose_ucx_devices({0, 2, range(0, 8)}, host(2, 8, {}, {{"mlx5_0", 0}, {"mlx5_1", 1, -1, other}})), "");
}

using Chosen = std::vector<NetworkVariable>;

TEST(NetworkVariables, LeaveTheUsersAlone) {
  const EarlyPlace rank{3, 8, range(0, 32), dgx().gpus[3].name};
  EXPECT_EQ(choose_network_variables(rank, dgx(), {"eth0", "ib0"}, true, nothing_set),
            (Chosen{{"UCX_NET_DEVICES", "mlx5_3:1"}}));
  EXPECT_EQ(choose_network_variables(rank, dgx(), {"eth0"}, true, made_up({{"UCX_NET_DEVICES", "all"}})),
            Chosen{});
  EXPECT_EQ(choose_network_variables({0, 4, range(0, 8)}, perlmutter(), {"hsn0"}, true,
                                     made_up({{"NCCL_SOCKET_IFNAME", "bond0"}})),
            Chosen{});
}

TEST(NetworkVariables, GiveNcclTheSlingshotInterfaces) {
  for (const HostTopology& node : {perlmutter(), polaris()})
    EXPECT_EQ(
        choose_network_variables({0, 4, range(0, 8)}, node, {"nmn0", "hsn0", "hsn1"}, true, nothing_set),
        (Chosen{{"NCCL_SOCKET_IFNAME", "hsn"}}));
  EXPECT_EQ(choose_network_variables({0, 4, range(0, 8)}, perlmutter(), {"hsn0"}, false, nothing_set),
            Chosen{});
  EXPECT_EQ(choose_network_variables({0, 4, range(0, 8)}, perlmutter(), {"nmn0"}, true, nothing_set),
            Chosen{});
  EXPECT_EQ(choose_network_variables({0, 4, range(0, 8)}, host(4, 8, {}, {}), {"eth0"}, true, nothing_set),
            Chosen{});
}

TEST(NcclVariables, MakeSumsRepeatableAndConnectionsEarlyUnlessTheUserChooses) {
  EXPECT_EQ(choose_nccl_variables(nothing_set),
            (Chosen{{"NCCL_NVLS_ENABLE", "0"}, {"NCCL_RUNTIME_CONNECT", "0"}}));
  EXPECT_EQ(choose_nccl_variables(made_up({{"NCCL_NVLS_ENABLE", "1"}})),
            (Chosen{{"NCCL_RUNTIME_CONNECT", "0"}}));
}

TEST(NetworkVariables, LeaveThoseOfConfigurationFilesAlone) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "network_binding";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "ucx.conf") << "# UCX_TLS=rc\n  UCX_NET_DEVICES = mlx5_0:1\n";
  std::ofstream(folder / ".nccl.conf") << "NCCL_SOCKET_IFNAME=bond0\n";
  const std::string ucx = folder / "ucx.conf";
  EXPECT_TRUE(is_set_in_files("UCX_NET_DEVICES", {"/nowhere/ucx.conf", ucx}));
  EXPECT_FALSE(is_set_in_files("UCX_NET", {ucx}));
  EXPECT_FALSE(is_set_in_files("UCX_TLS", {ucx}));
  const EarlyPlace rank{0, 8, range(0, 4)};
  EXPECT_EQ(choose_network_variables(rank, dgx(), {}, false, made_up({{"UCX_CONFIG_DIR", folder}})),
            Chosen{});
  EXPECT_EQ(choose_network_variables(rank, perlmutter(), {"hsn0"}, true, made_up({{"HOME", folder}})),
            Chosen{});
  std::filesystem::remove_all(folder);
}

TEST(NetworkVariables, AreShownByWhomeverTheyAreSet) {
  EXPECT_EQ(describe_network_variables(nothing_set), "");
  EXPECT_EQ(describe_network_variables(
                made_up({{"NCCL_NET", "AWS Libfabric"}, {"MPICH_OFI_NIC_POLICY", "NUMA"}, {"PATH", "/bin"}})),
            "MPICH_OFI_NIC_POLICY=NUMA, NCCL_NET=AWS Libfabric");
}

}  // namespace
}  // namespace cola
