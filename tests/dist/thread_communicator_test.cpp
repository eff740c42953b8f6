#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "dist/collective_checks.h"
#include "dist/communicator.h"

namespace cola {
namespace {

class ThreadCommunicators : public ::testing::TestWithParam<int> {};

TEST_P(ThreadCommunicators, ComputeWhatPlainSumsSay) {
  std::atomic<int> bodies = 0;
  run_on_threads(GetParam(), [&](Communicator& communicator) {
    EXPECT_EQ(communicator.size(), GetParam());
    testing::check_collectives(communicator);
    ++bodies;
  });
  EXPECT_EQ(bodies, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Ranks, ThreadCommunicators, ::testing::Values(1, 2, 3, 4));

TEST(SelfCommunicator, IsOneRank) {
  const auto communicator = make_self_communicator();
  EXPECT_EQ(communicator->rank(), 0);
  EXPECT_EQ(communicator->size(), 1);
  testing::check_collectives(*communicator);
}

// The bits do not depend on which rank comes first.
TEST(ThreadCommunicator, AddsInRankOrderWhateverTheTiming) {
  for (int late = 0; late < 3; ++late)
    run_on_threads(3, [&](Communicator& communicator) {
      if (communicator.rank() == late) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      std::vector<float> values{
          std::vector<float>{1e8f, -1e8f, 1.0f}[static_cast<std::size_t>(communicator.rank())]};
      communicator.start_all_reduce(values)->wait();
      EXPECT_EQ(values[0], 1.0f);
    });
}

TEST(RunOnThreads, ThrowsTheErrorOfTheFailingRankAndFreesTheOthers) {
  const auto run = [] {
    run_on_threads(3, [](Communicator& communicator) {
      const auto part = communicator.split(communicator.rank() / 2);
      if (communicator.rank() == 1) throw std::invalid_argument("rank 1 failed");
      part->barrier();
      communicator.barrier();
    });
  };
  EXPECT_THROW(run(), std::invalid_argument);
}

TEST(RunOnThreads, ReportsRanksThatDisagreeOnSizes) {
  EXPECT_ANY_THROW(run_on_threads(2, [](Communicator& communicator) {
    std::vector<double> values(communicator.rank() == 0 ? 3 : 2);
    communicator.all_reduce(std::span(values));
  }));
}

TEST(SelfCommunicator, AbortEndsTheProcessWithTheCode) {
  EXPECT_EXIT(make_self_communicator()->abort(75), ::testing::ExitedWithCode(75), "");
}

}  // namespace
}  // namespace cola
