// The judge of the kernel tests is itself judged: it must be able to fail.
#include "support/relative_error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace cola {
namespace {

TEST(RelativeError, IsTheNormOfTheDifferenceOverTheNorm) {
  EXPECT_DOUBLE_EQ(relative_error(std::vector<double>{3, 4.5}, std::vector<double>{3, 4}), 0.1);
  EXPECT_EQ(relative_error(std::vector<double>{0, 0}, std::vector<double>{0, 0}), 0);
  EXPECT_TRUE(std::isinf(relative_error(std::vector<double>{0, 1e-30}, std::vector<double>{0, 0})));
}

TEST(IsClose, NanAndInfinityNeverPass) {
  const double nan = std::numeric_limits<double>::quiet_NaN(),
               infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {nan, infinity, -infinity}) {
    EXPECT_FALSE(is_close(std::vector<double>{1, bad}, std::vector<double>{1, 1}, 1e9));
    EXPECT_FALSE(is_close(std::vector<double>{1, bad}, std::vector<double>{1, bad}, 1e9));
    EXPECT_FALSE(is_close(std::vector<double>{1, 1}, std::vector<double>{1, bad}, 1e-2));
  }
}

TEST(IsClose, SeesErrorsOfTheWholeAndOfOneElement) {
  const std::vector<double> expected(10000, 1.0);
  std::vector<double> actual(10000, 1.005);
  EXPECT_TRUE(is_close(actual, expected, 1e-2));
  EXPECT_FALSE(is_close(actual, expected, 4e-3));
  actual = expected;
  actual[77] = 1.5;  // a relative error of the whole of only 5e-3
  EXPECT_FALSE(is_close(actual, expected, 1e-2));
  EXPECT_FALSE(is_close(std::vector<double>{1}, expected, 1e-2));
}

}  // namespace
}  // namespace cola
