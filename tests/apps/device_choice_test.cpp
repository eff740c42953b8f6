#include "apps/common/device_choice.h"

#include <gtest/gtest.h>

namespace cola {
namespace {

TEST(MissingGpus, AreSaidInAJobWithTheRequestThatItsSchedulerUnderstands) {
  EXPECT_EQ(
      describe_missing_gpus(Allocation{"Slurm", 2}),
      "this run is on the CPU, as Slurm gave the job no GPU here: ask for one a rank (--gpus-per-node), or "
      "set train.device: cpu");
  EXPECT_NE(describe_missing_gpus(Allocation{"PBS", 2}).find("(ngpus in -l select)"), std::string::npos);
  EXPECT_EQ(describe_missing_gpus(std::nullopt), "");
}

TEST(UnusedGpus, AreSaidInAJobOfAProgramWithoutCuda) {
  const Allocation job{"Slurm", 2};
  EXPECT_EQ(describe_unused_gpus(job, std::nullopt, 4),
            "this run is on the CPU, as this program was built without CUDA, and there are GPUs in the Slurm "
            "job: build it with -DCOLA_CUDA=on, or set train.device: cpu");
  EXPECT_NE(describe_unused_gpus(job, "0,1", 0), "");
  EXPECT_NE(describe_unused_gpus(job, "GPU-8f2b0a1c", 4), "");
}

TEST(UnusedGpus, AreNotMissedWhereNoneWasAskedFor) {
  const Allocation job{"Slurm", 2};
  for (const char* hidden : {"", "-1", "NoDevFiles"}) EXPECT_EQ(describe_unused_gpus(job, hidden, 4), "");
  EXPECT_EQ(describe_unused_gpus(job, std::nullopt, 0), "");
  EXPECT_EQ(describe_unused_gpus(std::nullopt, "0", 4), "");
}

}  // namespace
}  // namespace cola
