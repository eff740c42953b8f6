#include "train/past_pace.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/test_folder.h"
#include "train/metrics.h"

namespace cola {
namespace {

TEST(PastPace, IsThatOfTheLastJobOnAsManyRanks) {
  const TestFolder folder;
  const std::string path = folder.path("metrics.jsonl");
  {
    MetricsWriter writer(path, 0);
    writer.write_start(0, 4, 1, "", 0);
    for (std::int64_t step = 1; step <= 3; ++step)
      writer.write({.step = step, .step_seconds = 0.5 * static_cast<double>(step)});
    writer.write_checkpoint(3, 40, 8);  // held to a rate, which the one that ends a job is not
    writer.write_start(3, 2, 1, "somewhere", 0);
    writer.write({.step = 4, .step_seconds = 9});
    writer.write_checkpoint(4, 90, 90);
  }
  std::ofstream(path, std::ios::app) << "half a li";
  const PastPace pace = read_past_pace(folder.path(""), 4);
  EXPECT_EQ(pace.step_seconds, 1);
  EXPECT_EQ(pace.checkpoint_seconds, 8);
  EXPECT_EQ(read_past_pace(folder.path(""), 2).checkpoint_seconds, 90);
}

// Or the next short job would end before its first step.
TEST(PastPace, LeavesOutAStepThatWasSuspendedAndACheckpointOnABusyDisk) {
  const TestFolder folder;
  {
    MetricsWriter writer(folder.path("metrics.jsonl"), 0);
    writer.write_start(0, 2, 1, "", 0);
    StepMetrics metrics;
    for (metrics.step = 1; metrics.step <= 60; ++metrics.step) {
      metrics.step_seconds = metrics.step <= 40 ? 5 : metrics.step == 60 ? 3600 : 2;
      writer.write(metrics);
    }
    for (const double seconds : {1.0, 7.0, 1800.0}) writer.write_checkpoint(60, seconds, seconds);
  }
  const PastPace pace = read_past_pace(folder.path(""), 2);
  EXPECT_EQ(pace.step_seconds, 2);
  EXPECT_EQ(pace.checkpoint_seconds, 7);
}

TEST(PastPace, IsNotKnownWithoutJobsOnAsManyRanks) {
  const TestFolder folder;
  EXPECT_EQ(read_past_pace(folder.path(""), 2).checkpoint_seconds, 0);
  std::ofstream(folder.path("metrics.jsonl"))
      << "{\"event\":\"start\",\"ranks\":2}\n{\"event\":\"checkpoint\",\"full_speed_seconds\":\"long\"}\n"
      << "{\"event\":\"start\",\"ranks\":3}\n{\"event\":\"step\",\"step_seconds\":3}\n";
  EXPECT_EQ(read_past_pace(folder.path(""), 2).checkpoint_seconds, 0);
  EXPECT_EQ(read_past_pace(folder.path(""), 2).step_seconds, 0);
}

}  // namespace
}  // namespace cola
