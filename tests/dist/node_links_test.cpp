#include "dist/placement/node_links.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "core/device.h"

namespace cola {
namespace {

TEST(GpuLinks, AreOneWordWhereAllAreAlike) {
  EXPECT_EQ(describe_gpu_links(4, [](int, int) { return GpuLink::nvlink; }), "GPUs 0-3: NVLink between all");
  EXPECT_EQ(describe_gpu_links(2, [](int, int) { return GpuLink::none; }),
            "GPUs 0-1: only host memory between all");
}

TEST(GpuLinks, NameThePairsThatAreBetterJoined) {
  const std::set<std::pair<int, int>> bridged{{0, 1}, {2, 3}}, apart{{0, 3}};
  const auto link_of = [&](int first, int second) {
    if (bridged.contains({first, second})) return GpuLink::nvlink;
    return apart.contains({first, second}) ? GpuLink::none : GpuLink::pcie;
  };
  EXPECT_EQ(
      describe_gpu_links(4, link_of),
      "GPUs 0-3: NVLink between 0-1, 2-3; PCIe between 0-2, 1-2, 1-3; only host memory between the others");
}

TEST(GpuLinks, AreNothingToSayOfOneGpu) {
  for (const int gpus : {0, 1})
    EXPECT_EQ(describe_gpu_links(gpus, [](int, int) { return GpuLink::nvlink; }), "");
}

// On real GPUs and on emulated ones.
TEST(GpuLinks, AreWhatTheDriverSays_cuda) {
  const int gpus = cuda_device_count();
  if (gpus < 2) GTEST_SKIP() << "fewer than two GPUs on this machine";
  std::set<std::string> addresses;
  for (int first = 0; first < gpus; ++first) {
    addresses.insert(gpu_address(first));
    for (int second = first + 1; second < gpus; ++second)
      EXPECT_EQ(gpu_link(first, second), gpu_link(second, first));
  }
  EXPECT_EQ(addresses.size(), static_cast<std::size_t>(gpus));
  EXPECT_EQ(gpu_address(gpus), "");
  EXPECT_EQ(gpu_link(0, gpus), GpuLink::none);
  EXPECT_EQ(cuda_device_count(), gpus);  // no error is left behind
}

TEST(Interfaces, AreNamedWithTheirSpeed) {
  const auto megabits_of = [](const std::string& name) {
    return name == "eth0" ? 2500 : name == "ib0" ? 200000 : 0;
  };
  EXPECT_EQ(describe_interfaces({"eth0", "eth1", "ib0"}, megabits_of),
            "eth0 (2.5 Gbit/s), eth1, ib0 (200 Gbit/s)");
  EXPECT_EQ(describe_interfaces({}, megabits_of), "");
}

}  // namespace
}  // namespace cola
