#include "dist/placement/near_device.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/error.h"
#include "core/host_topology.h"
#include "support/synthetic_host.h"

namespace cola {
namespace {

using Cores = std::vector<std::vector<int>>;

std::vector<int> range(int first, int count) {
  std::vector<int> cores(static_cast<std::size_t>(count));
  std::iota(cores.begin(), cores.end(), first);
  return cores;
}

/// Ranks bound to `depth` cores each, one after another: mpiexec --cpu-bind depth, srun --cpu-bind=cores.
Cores bound_in_order(int ranks, int depth) {
  Cores cores;
  for (int rank = 0; rank < ranks; ++rank) cores.push_back(range(rank * depth, depth));
  return cores;
}

// One socket of four NUMA domains; GPU 3 is nearest to cores 0-7, GPU 0 to cores 24-31.
HostTopology polaris() {
  return read_host_topology(synthetic_host(
      4, 8, {{"0000:07:00.0", 3}, {"0000:46:00.0", 2}, {"0000:85:00.0", 1}, {"0000:c7:00.0", 0}},
      {{"hsn0", 1}, {"hsn1", 3}}));
}

TEST(HostTopology, FindsGpusInOrderOfTheirAddressesAndTheirCores) {
  const HostTopology host = polaris();
  EXPECT_EQ(host.cores, 32);
  ASSERT_EQ(host.gpus.size(), 4u);
  EXPECT_EQ(host.gpus[0], (HostDevice{"0000:07:00.0", range(24, 8)}));
  EXPECT_EQ(host.gpus[3], (HostDevice{"0000:c7:00.0", range(0, 8)}));
  ASSERT_EQ(host.network_cards.size(), 2u);
  EXPECT_EQ(host.network_cards[0], (HostDevice{"hsn0", range(8, 8)}));
}

TEST(HostTopology, ReadsThisHost) {
  const HostTopology host = read_host_topology();
  EXPECT_GE(host.cores, 1);
  EXPECT_THROW(read_host_topology("no XML"), Error);
}

TEST(NearDevices, ReverseTheOrderOnPolaris) {
  EXPECT_EQ(assign_near_devices(bound_in_order(4, 8), polaris().gpus), (std::vector<int>{3, 2, 1, 0}));
  EXPECT_EQ(assign_near_devices(bound_in_order(2, 8), polaris().gpus), (std::vector<int>{3, 2}));
}

// Perlmutter: GPU i is nearest to NUMA domain 3 - i, and srun deals out cores domain by domain or across
// them.
TEST(NearDevices, FollowTheBindingAndNotTheOrderOfRanks) {
  const Cores across{range(16, 8), range(0, 8), range(24, 8), range(8, 8)};
  EXPECT_EQ(assign_near_devices(across, polaris().gpus), (std::vector<int>{1, 3, 0, 2}));
}

TEST(NearDevices, ShareADomainsDevicesInOrder) {
  const HostTopology host = read_host_topology(synthetic_host(
      2, 8, {{"0000:01:00.0", 0}, {"0000:02:00.0", 0}, {"0000:81:00.0", 1}, {"0000:82:00.0", 1}}, {}));
  EXPECT_EQ(assign_near_devices(bound_in_order(4, 4), host.gpus), (std::vector<int>{0, 1, 2, 3}));
  // Three ranks of one domain: two get its GPUs, the third a far one rather than none of its own.
  EXPECT_EQ(assign_near_devices(Cores{range(0, 2), range(2, 2), range(4, 2)}, host.gpus),
            (std::vector<int>{0, 1, 2}));
}

TEST(NearDevices, AreDealtOutInOrderToRanksThatAreNotBound) {
  EXPECT_EQ(assign_near_devices(Cores(4, range(0, 32)), polaris().gpus), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(assign_near_devices(Cores(3, range(0, 2)), std::vector<HostDevice>(2)),
            (std::vector<int>{0, 1, 0}));
  EXPECT_EQ(assign_near_devices(Cores{range(0, 4), range(4, 4)}, std::vector<HostDevice>(2)),
            (std::vector<int>{0, 1}));
}

TEST(NearDevices, AreSharedEvenlyWhereTheyAreFewer) {
  EXPECT_EQ(assign_near_devices(bound_in_order(8, 4), polaris().gpus),
            (std::vector<int>{3, 3, 2, 2, 1, 1, 0, 0}));
}

TEST(NearestDevice, IsKnownToARankAlone) {
  const std::vector<HostDevice> gpus = polaris().gpus;
  for (int local_rank = 0; local_rank < 4; ++local_rank) {
    EXPECT_EQ(nearest_device(local_rank, range(8 * local_rank, 8), gpus), 3 - local_rank);
    EXPECT_EQ(nearest_device(local_rank, range(0, 32), gpus), local_rank);
  }
  EXPECT_EQ(nearest_device(5, {}, std::vector<HostDevice>(4)), 1);
}

// Two sockets of two GPUs each. Dealt out to the sockets in turn (srun's cyclic binding), rank 1 gets the
// second socket's first GPU, bound one after another its socket's second: it cannot tell which.
TEST(NearestDevice, IsLeftOpenWhereItDependsOnOtherRanks) {
  const std::vector<HostDevice> gpus =
      read_host_topology(
          synthetic_host(
              2, 8, {{"0000:01:00.0", 0}, {"0000:02:00.0", 0}, {"0000:81:00.0", 1}, {"0000:82:00.0", 1}}, {}))
          .gpus;
  const Cores in_turn{range(0, 4), range(8, 4), range(4, 4), range(12, 4)};
  EXPECT_EQ(assign_near_devices(in_turn, gpus), (std::vector<int>{0, 2, 1, 3}));
  for (int local_rank = 0; local_rank < 4; ++local_rank) {
    const auto early = nearest_device(local_rank, in_turn[static_cast<std::size_t>(local_rank)], gpus);
    EXPECT_EQ(early, std::nullopt) << local_rank;
  }
}

TEST(VisibleGpus, AreFoundByTheirAddresses) {
  const std::vector<HostDevice> gpus = polaris().gpus;
  const std::vector<std::string> in_cudas_order{gpus[2].name, gpus[0].name};
  EXPECT_EQ(visible_gpus(gpus, in_cudas_order), (std::vector<HostDevice>{gpus[2], gpus[0]}));
  EXPECT_TRUE(visible_gpus(gpus, {}).empty());
}

// In a container, or a machine whose topology cannot be read.
TEST(VisibleGpus, AreNearNothingWhereTheTopologyLacksThem) {
  const std::vector<std::string> addresses{"0000:65:00.0", ""};
  const std::vector<HostDevice> shown = visible_gpus({}, addresses);
  ASSERT_EQ(shown.size(), 2u);
  EXPECT_EQ(shown[0], (HostDevice{"0000:65:00.0", {}}));
  EXPECT_EQ(shown[1], HostDevice{});
}

// Slurm shows each task its own GPU as the first one (--gpus-per-task with ConstrainDevices): what tells them
// apart is the address alone.
TEST(VisibleGpus, OfRanksThatSeeOneEachAreTheirOwn) {
  const std::vector<HostDevice> gpus = polaris().gpus;
  for (const HostDevice& gpu : gpus) {
    const std::vector<HostDevice> shown = visible_gpus(gpus, std::vector<std::string>{gpu.name});
    EXPECT_EQ(nearest_device(3, range(0, 32), shown), 0);
    EXPECT_EQ(shown.front().near_cores, gpu.near_cores);
  }
}

}  // namespace
}  // namespace cola
