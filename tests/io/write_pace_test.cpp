#include "io/files/write_pace.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stop_token>
#include <thread>

#include "core/error.h"

namespace cola {
namespace {

constexpr double mebibyte = 1024.0 * 1024.0;

double seconds_for(WritePace& pace, int mebibytes) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < mebibytes; ++i) pace.spend(std::size_t{1} << 20);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

TEST(WritePace, HoldsTheRateAndMakesNoBurstOfTimeThatWentByIdle) {
  const std::atomic<bool> unlimited = false;
  WritePace pace(20 * mebibyte, {}, unlimited);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_GE(seconds_for(pace, 10), 0.45);  // 0.5 s, less the longest sleep
}

TEST(WritePace, CostsNothingWithoutALimit) {
  const std::atomic<bool> unlimited = false;
  WritePace never, free(0, {}, unlimited);
  EXPECT_LT(seconds_for(never, 10000), 1.0);
  EXPECT_LT(seconds_for(free, 10000), 1.0);
}

TEST(WritePace, IsLiftedWhileItSleeps) {
  std::atomic<bool> unlimited = false;
  WritePace pace(0.01 * mebibyte, {}, unlimited);
  const std::jthread lifting([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    unlimited = true;
  });
  EXPECT_LT(seconds_for(pace, 5), 20.0);  // and not 500
}

TEST(WritePace, StopsWhileItSleeps) {
  const std::atomic<bool> unlimited = false;
  std::stop_source source;
  WritePace pace(0.01 * mebibyte, source.get_token(), unlimited);
  const std::jthread stopping([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    source.request_stop();
  });
  EXPECT_THROW(pace.spend(std::size_t{1} << 20), Error);
  EXPECT_THROW(pace.spend(1), Error);
}

}  // namespace
}  // namespace cola
