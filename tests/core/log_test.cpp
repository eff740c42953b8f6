#include "core/log.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace cola {
namespace {

TEST(Log, TakesWhatSeveralThreadsSayFirst) {
  testing::internal::CaptureStderr();
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 8; ++thread)
      threads.emplace_back([thread] { warning("thread {}", thread); });
  }
  const std::string said = testing::internal::GetCapturedStderr();
  for (int thread = 0; thread < 8; ++thread)
    EXPECT_NE(said.find("cola: warning: thread " + std::to_string(thread) + "\n"), std::string::npos) << said;
}

TEST(Log, NamesProgramRankAndHost) {
  testing::internal::CaptureStderr();
  set_log_program("cola_dist");
  log_error("alone");
  set_log_identity(1, 2, "node7");
  log_error("of two");
  set_log_identity(0, 1, "node7");
  set_log_program("cola");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "cola_dist: error: alone\ncola_dist: rank 1 on node7: error: of two\n");
}

}  // namespace
}  // namespace cola
