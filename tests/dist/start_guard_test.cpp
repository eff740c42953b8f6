#include "dist/start_guard.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "core/error.h"

namespace cola {
namespace {

using std::chrono::seconds;

const LaunchEnvironment launched{"Slurm", {3, 8}};

// Each in a process of its own, as a guard ends the one it lives in.
class StartGuardDeath : public ::testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    ::setenv("COLA_START_TIMEOUT", "1", 1);
  }
  void TearDown() override { ::unsetenv("COLA_START_TIMEOUT"); }
};

TEST_F(StartGuardDeath, EndsTheRankThatDoesNotStartAndNamesTheStage) {
  const auto get_stuck = [] {
    StartGuard guard(launched);
    guard.allow(seconds(1));
    guard.enter("MPI_Init");
    std::this_thread::sleep_for(seconds(20));
  };
  EXPECT_EXIT(get_stuck(), ::testing::ExitedWithCode(exit_failed),
              "rank 3 on .*: error: no start within 1 s: waiting in MPI_Init; ");
}

TEST_F(StartGuardDeath, AllowsWhatTheConfigurationAllows) {
  const auto get_stuck = [] {
    StartGuard guard(launched);
    guard.allow(seconds(2));
    std::this_thread::sleep_for(seconds(20));
  };
  EXPECT_EXIT(get_stuck(), ::testing::ExitedWithCode(exit_failed), "no start within 2 s: ");
}

TEST_F(StartGuardDeath, LetsARankBeThatIsNotToBeGuarded) {
  const auto wait = [] {
    StartGuard dismissed(launched), for_ever(launched), alone(std::nullopt);
    dismissed.dismiss();
    for_ever.allow(seconds(0));
    std::this_thread::sleep_for(seconds(2));
    std::_Exit(0);
  };
  EXPECT_EXIT(wait(), ::testing::ExitedWithCode(0), "");
}

TEST_F(StartGuardDeath, RefusesALimitThatIsNoNumber) {
  ::setenv("COLA_START_TIMEOUT", "1 min", 1);
  EXPECT_THROW(StartGuard guard(launched), UsageError);
}

}  // namespace
}  // namespace cola
