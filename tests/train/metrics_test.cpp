#include "train/metrics.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "support/test_folder.h"

namespace cola {
namespace {

std::vector<nlohmann::json> read(const std::string& path) {
  std::vector<nlohmann::json> entries;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) entries.push_back(nlohmann::json::parse(line));
  return entries;
}

TEST(MetricsWriter, WritesEveryFieldOfTheContract) {
  const TestFolder folder;
  const std::string path = folder.path("metrics.jsonl");
  MetricsWriter writer(path, 0);
  writer.write({.step = 3,
                .loss = 2.5,
                .learning_rate = 1e-3,
                .gradient_norm = 0.75,
                .tokens = 3072,
                .step_target_tokens = 1000,
                .tokens_per_second = 1000,
                .step_seconds = 1.024,
                .model_flops_utilization = 0.5,
                .checkpoint_blocked_seconds = 0.25,
                .peak_bytes = 4096,
                .ranks = {.slowest_rank = 5, .slowest_seconds = 0.875, .median_seconds = 0.5}});
  writer.write_evaluation(3, {.loss = 2.0, .tokens = 512});
  auto entries = read(path);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_NEAR(entries[0]["time"].get<double>(), static_cast<double>(std::time(nullptr)), 5);
  entries[0].erase("time");
  const nlohmann::json expected = {{"event", "step"},
                                   {"step", 3},
                                   {"loss", 2.5},
                                   {"lr", 1e-3},
                                   {"grad_norm", 0.75},
                                   {"tokens", 3072},
                                   {"tokens_per_second", 1000.0},
                                   {"step_seconds", 1.024},
                                   {"mfu", 0.5},
                                   {"checkpoint_blocked_seconds", 0.25},
                                   {"peak_bytes", 4096},
                                   {"step_target_tokens", 1000},
                                   {"slowest_rank", 5},
                                   {"slowest_seconds", 0.875},
                                   {"median_seconds", 0.5}};
  EXPECT_EQ(entries[0], expected);
  EXPECT_EQ(entries[1]["event"], "evaluation");
  EXPECT_DOUBLE_EQ(entries[1]["perplexity"], std::exp(2.0));
}

TEST(MetricsWriter, MovesWhatComesAfterTheResumedStepAndDropsHalfALine) {
  const TestFolder folder;
  const std::string path = folder.path("metrics.jsonl");
  {
    MetricsWriter writer(path, 0);
    for (std::int64_t step = 1; step <= 7; ++step) writer.write({.step = step, .loss = 1.0});
  }
  std::ofstream(path, std::ios::app) << R"({"event":"step","st)";
  MetricsWriter resumed(path, 4);
  resumed.write({.step = 5, .loss = 0.5});
  const auto entries = read(path);
  ASSERT_EQ(entries.size(), 5u);
  EXPECT_EQ(entries[3]["step"], 4);
  EXPECT_EQ(entries[4]["loss"], 0.5);
  const auto abandoned = read(folder.path("metrics.abandoned.jsonl"));
  ASSERT_EQ(abandoned.size(), 3u);
  EXPECT_EQ(abandoned[0]["step"], 5);
  EXPECT_EQ(abandoned[0]["loss"], 1.0);
  // Once more, further back: they follow.
  MetricsWriter(path, 3);
  EXPECT_EQ(read(path).size(), 3u);
  const auto all = read(folder.path("metrics.abandoned.jsonl"));
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(all[3]["step"], 4);
  EXPECT_EQ(all[4]["loss"], 0.5);
}

TEST(MetricsWriter, WritesNullForWhatJsonCannotHold) {
  const TestFolder folder;
  const std::string path = folder.path("metrics.jsonl");
  MetricsWriter(path, 0).write({.step = 1, .loss = std::numeric_limits<double>::infinity()});
  EXPECT_TRUE(read(path).front()["loss"].is_null());
}

// As on a full disk: a limit on the file's size lets through half a line, and is then lifted.
TEST(MetricsWriter, KeepsLinesUntilTheyCanBeWritten) {
  const TestFolder folder;
  const std::string path = folder.path("metrics.jsonl");
  MetricsWriter writer(path, 0);
  writer.write({.step = 1});
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limited{std::filesystem::file_size(path) + 20, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limited);
  for (const std::int64_t step : {2, 3}) EXPECT_NO_THROW(writer.write({.step = step}));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  writer.write({.step = 4});
  const auto entries = read(path);
  ASSERT_EQ(entries.size(), 4u);
  for (std::size_t i = 0; i < entries.size(); ++i) EXPECT_EQ(entries[i]["step"], i + 1);
}

// The message of the FileError that opening `path` ends with.
std::string refusal(const std::string& path) {
  try {
    MetricsWriter writer(path, 0);
  } catch (const FileError& error) {
    return error.what();
  }
  return "no error";
}

TEST(MetricsWriter, NamesAFileItCannotWrite) {
  EXPECT_NE(refusal("/nonexistent/metrics.jsonl").find("/nonexistent/metrics.jsonl"), std::string::npos)
      << refusal("/nonexistent/metrics.jsonl");
}

TEST(MetricsWriter, RefusesAFileItCannotRead) {
  const TestFolder folder;
  const std::string path = folder.path("metrics.jsonl");
  std::filesystem::create_directory(path);
  EXPECT_NE(refusal(path).find("metrics.jsonl: cannot read"), std::string::npos) << refusal(path);
}

TEST(MetricsWriter, KeepsLinesOfOthersAndWritesTextThatIsNoUtf8) {
  const TestFolder folder;
  const std::string path = folder.path("metrics.jsonl");
  std::ofstream(path) << R"({"event":7,"step":"many"})"
                      << "\n[1]\n";
  MetricsWriter writer(path, 3);
  writer.write_event("checkpoint_failed", 3, "no file \xff.h5");
  const auto entries = read(path);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0]["step"], "many");
  EXPECT_EQ(entries[1]["message"], "no file \uFFFD.h5");
}

TEST(MetricsWriter, TellsWhatAJobBeganWithAndWhatCheckpointsTook) {
  const TestFolder folder;
  const std::string path = folder.path("metrics.jsonl");
  MetricsWriter writer(path, 4);
  writer.write_start(4, 64, 16, "checkpoints/step-00000004", 1.5e9);
  writer.write_checkpoint(8, 1.5, 1.25);
  const auto entries = read(path);
  EXPECT_EQ(entries[0]["event"], "start");
  EXPECT_EQ(entries[0]["ranks"], 64);
  EXPECT_EQ(entries[0]["hosts"], 16);
  EXPECT_EQ(entries[0]["operations_per_token"], 1.5e9);
  EXPECT_EQ(entries[0]["checkpoint"], "checkpoints/step-00000004");
  EXPECT_EQ(entries[1]["seconds"], 1.5);
  EXPECT_EQ(entries[1]["full_speed_seconds"], 1.25);
  EXPECT_EQ(entries[1]["message"], "committed in 1.50 s");
}

}  // namespace
}  // namespace cola
