#include "train/brief_attempt.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>

#include "core/error.h"

namespace cola {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(BriefAttempt, IsWaitedForWhereItSucceeds) {
  const auto begin = Clock::now();
  const auto done = std::make_shared<std::promise<int>>();
  attempt_briefly([done] { done->set_value(7); }, seconds(60));
  EXPECT_EQ(done->get_future().wait_for(seconds(0)), std::future_status::ready);
  attempt_briefly([] { throw Error("a disk is gone"); }, seconds(60));
  EXPECT_LT(Clock::now() - begin, seconds(30));
}

TEST(BriefAttempt, IsLeftToItselfWhereItHangs) {
  const auto begin = Clock::now();
  const auto released = std::make_shared<std::promise<void>>(),
             ended = std::make_shared<std::promise<void>>();
  attempt_briefly(
      [=] {
        released->get_future().wait();
        ended->set_value();
      },
      milliseconds(100));
  EXPECT_GE(Clock::now() - begin, milliseconds(100));
  released->set_value();
  EXPECT_EQ(ended->get_future().wait_for(seconds(30)), std::future_status::ready);
}

}  // namespace
}  // namespace cola
