#include "train/schedule.h"

#include <gtest/gtest.h>

namespace cola {
namespace {

TEST(LearningRateSchedule, WarmsUpLinearlyAndEndsAtTheMinimum) {
  const LearningRateSchedule schedule{.peak = 6e-3, .total_steps = 300, .warmup_steps = 30, .min_ratio = 0.1};
  EXPECT_DOUBLE_EQ(schedule.at(1), 2e-4);
  EXPECT_DOUBLE_EQ(schedule.at(15), 3e-3);
  EXPECT_DOUBLE_EQ(schedule.at(30), 6e-3);
  EXPECT_DOUBLE_EQ(schedule.at(165), 6e-3 * 0.55);  // half-way down the cosine
  EXPECT_DOUBLE_EQ(schedule.at(300), 6e-4);
}

TEST(LearningRateSchedule, NeverRisesAfterTheWarmUp) {
  const LearningRateSchedule schedule{.peak = 1, .total_steps = 1000, .warmup_steps = 100, .min_ratio = 0};
  for (std::int64_t step = 101; step <= 1000; ++step) EXPECT_LT(schedule.at(step), schedule.at(step - 1));
  EXPECT_NEAR(schedule.at(1000), 0, 1e-15);
}

TEST(LearningRateSchedule, WithoutWarmUpStartsNearThePeak) {
  const LearningRateSchedule schedule{.peak = 1, .total_steps = 10, .warmup_steps = 0, .min_ratio = 0.5};
  EXPECT_GT(schedule.at(1), 0.98);
  EXPECT_DOUBLE_EQ(schedule.at(10), 0.5);
}

TEST(LearningRateSchedule, FallsAlongALine) {
  const LearningRateSchedule schedule{
      .peak = 4, .total_steps = 120, .warmup_steps = 20, .min_ratio = 0.5, .decay = Decay::linear};
  EXPECT_DOUBLE_EQ(schedule.at(10), 2);
  EXPECT_DOUBLE_EQ(schedule.at(20), 4);
  EXPECT_DOUBLE_EQ(schedule.at(45), 3.5);
  EXPECT_DOUBLE_EQ(schedule.at(120), 2);
}

TEST(LearningRateSchedule, FallsOverTheLastStepsAlone) {
  for (const Decay decay : {Decay::linear, Decay::cosine}) {
    const LearningRateSchedule schedule{
        .peak = 1, .total_steps = 100, .warmup_steps = 10, .min_ratio = 0, .decay = decay, .decay_steps = 20};
    EXPECT_DOUBLE_EQ(schedule.at(11), 1);
    EXPECT_DOUBLE_EQ(schedule.at(80), 1);
    EXPECT_LT(schedule.at(81), 1);
    EXPECT_NEAR(schedule.at(90), 0.5, 1e-12);
    EXPECT_NEAR(schedule.at(100), 0, 1e-12);
  }
}

TEST(LearningRateSchedule, StaysAtThePeak) {
  const LearningRateSchedule schedule{
      .peak = 2, .total_steps = 50, .warmup_steps = 5, .min_ratio = 0.1, .decay = Decay::constant};
  EXPECT_DOUBLE_EQ(schedule.at(1), 0.4);
  EXPECT_DOUBLE_EQ(schedule.at(5), 2);
  EXPECT_DOUBLE_EQ(schedule.at(50), 2);
}

}  // namespace
}  // namespace cola
