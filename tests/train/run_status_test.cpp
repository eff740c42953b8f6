#include "train/run_status.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "support/test_folder.h"
#include "train/heartbeat.h"

namespace cola {
namespace {

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

class RunStatus : public ::testing::Test {
 protected:
  RunStatus() { std::filesystem::create_directory(directory()); }
  Heartbeat heartbeat() const {
    RunState state;
    state.name = "cola-1b";
    state.host = "the-first-node-of-all";
    state.job = "4711";
    state.ranks = 64;
    state.total_steps = 1000;
    return Heartbeat(directory(), state, true);
  }
  std::string directory() const { return folder_.path("run"); }
  void expect_words(const std::string& text, const std::vector<std::string>& words) const {
    for (const std::string& word : words)
      EXPECT_NE(text.find(word), std::string::npos) << word << " in\n" << text;
  }
  TestFolder folder_;
};

TEST_F(RunStatus, TellsProgressOfALivingRun) {
  Heartbeat heart = heartbeat();
  StepMetrics metrics;
  metrics.step = 250;
  metrics.loss = 3.25;
  metrics.step_seconds = 2;
  metrics.tokens_per_second = 65536;
  heart.note_step(metrics);
  heart.beat("training");
  expect_words(describe_run(directory(), now()),
               {"training on 64 ranks, rank 0 on the-first-node-of-all, job 4711", "250 of 1000 (25.0 %)",
                "3.25", "65.5 k tokens/s", "25 min 0 s", "none"});
}

TEST_F(RunStatus, NamesARankThatIsSlowForLong) {
  Heartbeat heart = heartbeat();
  heart.set_hosts({"n1", "n1", "n2", "n2"});
  StepMetrics metrics;
  metrics.ranks = {.slowest_rank = 2, .slowest_seconds = 1.5, .median_seconds = 1};
  for (int step = 0; step < SlowRankSearch::patience; ++step) heart.note_step(metrics);
  heart.last_word("training");
  expect_words(describe_run(directory(), now()),
               {"slow rank   2 on n2: 1.5 s of forward and backward a step, the median rank 1 s"});
  metrics.ranks.slowest_rank = 3;
  heart.note_step(metrics);
  heart.last_word("training");
  EXPECT_EQ(describe_run(directory(), now()).find("slow rank"), std::string::npos);
}

// By a rank that writes no heartbeats itself.
TEST_F(RunStatus, SaysWhyAnyRankHasFailed) {
  mark_failed(directory(), "rank 2 on n2: nothing runs here yet", std::chrono::system_clock::now());
  EXPECT_FALSE(read_heartbeat(directory()));
  Heartbeat heart = heartbeat();
  heart.note_start(7);
  heart.last_word("training");
  mark_failed(directory(), "rank 2 on n2: a disk is gone", std::chrono::system_clock::now());
  expect_words(describe_run(directory(), now()), {"failed: rank 2 on n2: a disk is gone", "7 of 1000"});
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory()), {}), 1);
}

// What other ranks meet after the first error follows from it, unlike what they met in a job before.
TEST_F(RunStatus, KeepsTheFirstWordOfAJobThatFails) {
  const SystemTime first_job = std::chrono::system_clock::now(),
                   second_job = first_job + std::chrono::hours(1);
  Heartbeat heart = heartbeat();
  heart.last_word("training");
  EXPECT_FALSE(failure_is_known(directory(), first_job));
  mark_failed(directory(), "rank 2 on n2: stuck in a barrier", first_job);
  mark_failed(directory(), "rank 1 on n1: a remote process exited", first_job);
  expect_words(describe_run(directory(), now()), {"failed: rank 2 on n2: stuck in a barrier"});
  EXPECT_TRUE(failure_is_known(directory(), first_job));
  EXPECT_FALSE(failure_is_known(directory(), second_job));
  mark_failed(directory(), "rank 3 on n2: a checkpoint is damaged", second_job);
  expect_words(describe_run(directory(), now()), {"failed: rank 3 on n2: a checkpoint is damaged"});
}

// Rank 0 may make another step before it hears of another rank's failure. A job before may have failed, too.
TEST_F(RunStatus, ABeatLeavesAFailureOfThisJobAndReplacesThatOfAnother) {
  heartbeat().last_word("training");
  mark_failed(directory(), "rank 2 on n2: a disk is gone", std::chrono::system_clock::now());
  Heartbeat heart = heartbeat();
  heart.beat("starting");
  expect_words(describe_run(directory(), now()), {"starting"});
  mark_failed(directory(), "rank 2 on n2: a disk is gone", std::chrono::system_clock::now());
  heart.note_step({.step = 1});
  heart.beat("training");
  expect_words(describe_run(directory(), now()), {"failed: rank 2 on n2: a disk is gone"});
}

TEST_F(RunStatus, LosesWhatRanksKilledInMidWriteHaveLeft) {
  heartbeat().last_word("training");
  std::ofstream(directory() + "/metrics.jsonl.tmp") << "not a heartbeat";
  for (const char* left : {"/heartbeat.json.tmp", "/heartbeat.json.n2-4711.tmp"})
    std::ofstream(directory() + left) << "{\"na";
  remove_unfinished_heartbeats(directory());
  EXPECT_TRUE(read_heartbeat(directory()));
  EXPECT_TRUE(std::filesystem::exists(directory() + "/metrics.jsonl.tmp"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory()), {}), 2);
  remove_unfinished_heartbeats(directory() + "/nowhere");
}

TEST_F(RunStatus, SaysWhenARunIsSilent) {
  Heartbeat heart = heartbeat();
  heart.beat("evaluating");
  expect_words(describe_run(directory(), now() + 600), {"no sign of life since it was evaluating", "10 min"});
  heart.last_word("stopped");
  expect_words(describe_run(directory(), now() + 600),
               {"stopped early with a committed checkpoint: resumes when job 4711 is requeued, or the same"});
}

TEST_F(RunStatus, SaysWhatARunThatIsNotAliveHasLeftAndLost) {
  std::filesystem::create_directories(directory() + "/checkpoints/step-00000200");
  std::ofstream(directory() + "/checkpoints/step-00000200/manifest.json") << "{}";
  Heartbeat heart = heartbeat();
  StepMetrics metrics;
  metrics.step = 250;
  metrics.step_seconds = 2;
  heart.note_step(metrics);
  heart.beat("training");
  EXPECT_EQ(describe_run(directory(), now()).find("once"), std::string::npos);
  expect_words(describe_run(directory(), now() + 600),
               {"run the same command again to resume from its last commit", "25 min 0 s, once it resumes",
                "last commit step-00000200, 50 steps ago"});
}

TEST_F(RunStatus, TellsRatesThatBelongTogether) {
  Heartbeat heart = heartbeat();
  for (const double seconds : {9.0, 1.0, 3.0}) {
    StepMetrics metrics;
    metrics.step_seconds = seconds;
    metrics.tokens_per_second = 600 / seconds;
    heart.note_step(metrics);
  }
  heart.last_word("training");
  const RunState state = *read_heartbeat(directory());
  EXPECT_NEAR(state.seconds_per_step, 1.2, 1e-9);
  EXPECT_NEAR(state.tokens_per_second, 500, 1e-6);
}

TEST_F(RunStatus, KnowsHowARunEnded) {
  Heartbeat heart = heartbeat();
  heart.last_word("saving");
  expect_words(describe_run(directory(), now()), {"saving on 64 ranks"});
  expect_words(describe_run(directory(), now() + 600), {"saving its last checkpoint, or killed since"});
  heart.last_word("failed");
  expect_words(describe_run(directory(), now() + 600), {"failed: its log says why"});
  heart.fail("step 7: the loss of rank 3 is not finite");
  expect_words(describe_run(directory(), now() + 600), {"failed: step 7: the loss of rank 3 is not finite"});
}

TEST_F(RunStatus, NamesTheLastCommittedCheckpoint) {
  for (const char* step : {"step-00000100", "step-00000200", "step-00000300"})
    std::filesystem::create_directories(directory() + "/checkpoints/" + step);
  std::ofstream(directory() + "/checkpoints/step-00000100/manifest.json") << "{}";
  std::ofstream(directory() + "/checkpoints/step-00000200/manifest.json") << "{}";
  expect_words(describe_run(directory(), now()), {"last commit step-00000200"});
}

TEST_F(RunStatus, RefusesWhatIsNoRun) {
  EXPECT_THROW(describe_run(directory(), now()), UsageError);
  EXPECT_THROW(describe_run(directory() + "/gone", now()), UsageError);
  std::ofstream(directory() + "/heartbeat.json") << "half a li";
  EXPECT_THROW(describe_run(directory(), now()), FileError);
}

TEST_F(RunStatus, IsWrittenAtMostEveryFewSeconds) {
  Heartbeat heart = heartbeat();
  heart.note_start(7);
  heart.beat("training");
  heart.note_start(8);
  heart.beat("training");
  EXPECT_EQ(read_heartbeat(directory())->step, 7);
  heart.last_word("finished");
  EXPECT_EQ(read_heartbeat(directory())->step, 8);
}

TEST_F(RunStatus, SaysAtTheFirstStepThatItTrains) {
  Heartbeat heart = heartbeat();
  heart.beat("starting");
  heart.note_step({.step = 1, .step_seconds = 2});
  heart.beat("training");
  EXPECT_EQ(read_heartbeat(directory())->activity, "training");
}

TEST_F(RunStatus, KeepsWhatWasKnownOfTheStepItStartsFrom) {
  Heartbeat before = heartbeat();
  before.note_step({.step = 1000, .loss = 2.5, .tokens_per_second = 500, .step_seconds = 2});
  before.last_word("finished");
  Heartbeat again = heartbeat();
  again.note_start(1000);
  again.last_word("finished");
  expect_words(describe_run(directory(), now()), {"2.5000", "500 tokens/s, 2 s a step"});
}

TEST_F(RunStatus, IsWrittenWithNamesThatAreNoUtf8) {
  RunState state;
  state.name = "run-\xff";
  Heartbeat(directory(), state, true).last_word("training");
  EXPECT_EQ(read_heartbeat(directory())->name, "run-\uFFFD");
}

TEST_F(RunStatus, RefusesNumbersThatMakeNoSense) {
  heartbeat().last_word("training");
  const std::string path = directory() + "/heartbeat.json";
  std::stringstream written;
  written << std::ifstream(path).rdbuf();
  for (const auto& [from, to] : {std::pair{"\"step\": 0", "\"step\": 1e300"},
                                 {"\"written\": ", "\"written\": -"},
                                 {"\"seconds_per_step\": 0.0", "\"seconds_per_step\": -1.0"}}) {
    std::string text = written.str();
    ASSERT_NE(text.find(from), std::string::npos) << text;
    std::ofstream(path) << text.replace(text.find(from), std::string(from).size(), to);
    EXPECT_THROW(describe_run(directory(), now()), FileError) << to;
  }
}

TEST_F(RunStatus, OnlyRankZeroBeats) {
  Heartbeat(directory(), {}, false).last_word("finished");
  EXPECT_FALSE(read_heartbeat(directory()));
}

}  // namespace
}  // namespace cola
