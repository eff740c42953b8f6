#include "train/stop_condition.h"

#include <gtest/gtest.h>

#include <csignal>

#include "core/error.h"

namespace cola {
namespace {

using namespace std::chrono_literals;

const SystemTime noon = SystemTime(std::chrono::seconds(1'800'000'000));

std::optional<SystemTime> job_end(const std::string& slurm_end, std::int64_t time_limit,
                                  const std::string& script_end = "") {
  return find_job_end(
      [&](const std::string& name) -> std::optional<std::string> {
        if (name == "COLA_JOB_END_TIME") return script_end;
        return name == "SLURM_JOB_END_TIME" ? std::optional(slurm_end) : std::nullopt;
      },
      time_limit, noon);
}

TEST(JobEnd, IsTheEarliestOfSlurmsTheScriptsAndTheConfigured) {
  EXPECT_FALSE(job_end("", 0));  // an empty variable is none
  EXPECT_EQ(job_end("", 60), noon + 60s);
  EXPECT_EQ(job_end("1800000030", 0), noon + 30s);
  EXPECT_EQ(job_end("1800000030", 60), noon + 30s);
  EXPECT_EQ(job_end("1800000090", 60), noon + 60s);
  EXPECT_THROW(job_end("12:00", 0), UsageError);
  EXPECT_EQ(job_end("", 0, "1800000040"), noon + 40s);
  EXPECT_EQ(job_end("1800000030", 60, "1800000040"), noon + 30s);
  EXPECT_EQ(job_end("1800000090", 60, "1800000040"), noon + 40s);
  EXPECT_THROW(job_end("", 0, "soon"), UsageError);
}

TEST(StopCondition, IsNoneWithoutSignalAndLimit) {
  const auto self = make_self_communicator();
  const StopSignal signals;
  StopCondition stop(*self, signals, std::nullopt, 30, 5);
  EXPECT_FALSE(stop.ask());
  EXPECT_EQ(stop.cause(), "");
  EXPECT_FALSE(stop.seconds_left());
}

TEST(StopSignal, HearsOfASignalThatTheLauncherHandedOnBlocked) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const StopSignal signals;
  std::raise(SIGTERM);
  EXPECT_EQ(signals.received(), SIGTERM);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// As nohup leaves it.
TEST(StopSignal, LeavesAHangUpThatIsIgnored) {
  std::signal(SIGHUP, SIG_IGN);
  {
    const StopSignal signals;
    std::raise(SIGHUP);
    EXPECT_EQ(signals.received(), 0);
  }
  EXPECT_EQ(std::signal(SIGHUP, SIG_DFL), SIG_IGN);
}

TEST(StopSignal, IsSaidOnceWhenItComesWhereThatIsAskedFor) {
  const StopSignal signals;
  signals.announce_when_received();
  testing::internal::CaptureStdout();
  std::raise(SIGTERM);
  std::raise(SIGUSR1);
  EXPECT_EQ(testing::internal::GetCapturedStdout(),
            "SIGTERM: stopping at the end of this step, with a checkpoint\n");
  const StopSignal silent;
  testing::internal::CaptureStdout();
  std::raise(SIGTERM);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST(StopCondition, IsEachOfTheSignals) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) {
    const auto self = make_self_communicator();
    const StopSignal signals;
    StopCondition stop(*self, signals, std::nullopt, 0, 0);
    std::raise(signal);
    EXPECT_FALSE(stop.requested());  // nobody asked yet
    EXPECT_TRUE(stop.ask());
    EXPECT_EQ(stop.cause(), signal_name(signal));
    EXPECT_TRUE(stop.requested());
  }
}

TEST(StopCondition, ComesBeforeTheJobsEndByWhatStepsAndCheckpointsTake) {
  const auto self = make_self_communicator();
  const StopSignal signals;
  StopCondition stop(*self, signals, std::chrono::system_clock::now() + 100s, 30, 5);
  EXPECT_EQ(stop.margin(), 30 + 2 * 5);
  EXPECT_FALSE(stop.ask());
  stop.learn_step(10);
  stop.learn_checkpoint(15);
  EXPECT_EQ(stop.margin(), 30 + 2 * (10 + 15));
  EXPECT_FALSE(stop.ask());
  stop.learn_step(2);  // the slow one is not forgotten at once
  EXPECT_NEAR(stop.margin(), 30 + 2 * (9.5 + 15), 1e-9);
  stop.learn_checkpoint(30);
  EXPECT_TRUE(stop.ask());
  EXPECT_EQ(stop.cause(), "the time limit");
}

TEST(StopCondition, IsNearWhereOnlyAFewStepsFitIn) {
  const auto self = make_self_communicator();
  const StopSignal signals;
  StopCondition stop(*self, signals, std::chrono::system_clock::now() + 100s, 30, 5);
  EXPECT_FALSE(stop.is_near());
  stop.learn_step(11);  // 30 + 2 (11 + 5) + 3 x 11
  EXPECT_FALSE(stop.is_near());
  stop.learn_step(13);
  EXPECT_TRUE(stop.is_near());
  EXPECT_FALSE(stop.ask());
  EXPECT_FALSE(StopCondition(*self, signals, std::nullopt, 30, 5).is_near());
}

// Only one rank's clock says that it is time.
TEST(StopCondition, IsAgreedByAllRanks) {
  const StopSignal signals;
  run_on_threads(3, [&signals](Communicator& world) {
    const auto end = std::chrono::system_clock::now() + (world.rank() == 1 ? 5s : 500s);
    StopCondition stop(world, signals, end, 30, 0);
    EXPECT_TRUE(stop.ask());
    EXPECT_EQ(stop.cause(), "the time limit");
  });
}

}  // namespace
}  // namespace cola
