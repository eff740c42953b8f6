#include "apps/device_choice.h"

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

}  // namespace
}  // namespace cola
