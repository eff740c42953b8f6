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

}  // namespace
}  // namespace cola
