#include "train/configuration/common_run.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>

#include "core/error.h"

namespace cola {
namespace {

// The message that all of three ranks get; empty if none does. `change` alters what one rank runs.
std::string refusal(const std::function<void(RunConfiguration&, DeviceKind&, int rank)>& change) {
  std::vector<std::string> messages(3);
  run_on_threads(3, [&](Communicator& world) {
    RunConfiguration configuration;
    DeviceKind device = DeviceKind::cpu;
    change(configuration, device, world.rank());
    try {
      require_common_run(world, describe_run_of_rank(configuration, device),
                         fmt::format("n{}", world.rank()));
    } catch (const Error& error) {
      messages[static_cast<std::size_t>(world.rank())] = error.what();
    }
  });
  EXPECT_EQ(messages, std::vector<std::string>(3, messages[0]));
  return messages[0];
}

TEST(CommonRun, IsOneConfigurationButForWhatBelongsToANode) {
  EXPECT_EQ(refusal([](RunConfiguration& configuration, DeviceKind&, int rank) {
              configuration.train.threads = rank;
              configuration.checkpoint.local_dir = fmt::format("/scratch/{}", rank);
            }),
            "");
}

TEST(CommonRun, IsRefusedWithKeyRanksHostsAndValues) {
  EXPECT_EQ(refusal([](RunConfiguration& configuration, DeviceKind&, int rank) {
              if (rank == 2) configuration.optimizer.lr = 0.25;
            }),
            "optimizer.lr: 0.001 on rank 0 (n0), but 0.25 on rank 2 (n2); all ranks must run the same");
  EXPECT_EQ(refusal([](RunConfiguration&, DeviceKind& device, int rank) {
              if (rank == 1) device = DeviceKind::cuda;
            }),
            "the device that train.device leads to: cpu on rank 0 (n0), but cuda on rank 1 (n1); all ranks "
            "must run the same: start without a host whose GPU has failed (Slurm: --exclude=n0)");
}

TEST(CommonRun, IsBadUsageUnlessANodeLacksItsGpu) {
  const auto refuse = [](Communicator& world, double rate, DeviceKind device) {
    RunConfiguration configuration;
    configuration.optimizer.lr = rate;
    require_common_run(world, describe_run_of_rank(configuration, device), "n");
  };
  run_on_threads(2, [&](Communicator& world) {
    EXPECT_THROW(refuse(world, 0.1 * world.rank(), DeviceKind::cpu), UsageError);
    EXPECT_THROW(refuse(world, 0.1, world.rank() == 1 ? DeviceKind::cpu : DeviceKind::cuda), AgreedError);
  });
}

TEST(CommonRun, ComputesInFp32WhereOnlySomeDevicesPreferBf16) {
  const auto agreed = [](Precision precision, std::vector<bool> prefers) {
    std::atomic<Precision> result;
    run_on_threads(2, [&](Communicator& world) {
      const Precision mine =
          common_precision(world, precision, prefers[static_cast<std::size_t>(world.rank())]);
      if (world.rank() == 1) result = mine;
    });
    return result.load();
  };
  EXPECT_EQ(agreed(Precision::automatic, {true, false}), Precision::fp32);
  EXPECT_EQ(agreed(Precision::automatic, {true, true}), Precision::automatic);
  EXPECT_EQ(agreed(Precision::bf16, {true, false}), Precision::bf16);
}

}  // namespace
}  // namespace cola
