#include "core/kernels/reduce.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "reference/reduce.h"
#include "support/device_tensor.h"
#include "support/device_test.h"
#include "support/relative_error.h"
#include "support/test_random.h"

namespace cola {
namespace {

constexpr std::int64_t sizes[] = {1, 7, 24, 40, 72, 258, 1376, 100003};

TEST(ReduceReference, AgreesWithHandValues) {
  EXPECT_EQ(reference::sum(std::vector<double>{1, -2, 4}), 3);
  EXPECT_EQ(reference::sum_of_squares(std::vector<double>{1, -2, 4}), 21);
  EXPECT_EQ(reference::sum(std::vector<double>{}), 0);
}

class ReduceKernel : public DeviceTest {
 protected:
  // The sum of both, one after the other, on top of `before`.
  double sum(const DeviceTensor& first, const DeviceTensor& second, double before) {
    const Buffer total(device(), sizeof(double));
    device().copy_from_host(total.data(), &before, sizeof(before));
    for (const DeviceTensor* values : {&first, &second})
      device().reduce().add_sum(*values, total.tensor(DataType::float64, 1));
    double result = 0;
    device().copy_to_host(&result, total.data(), sizeof(result));
    return result;
  }
  double sum(const DeviceTensor& values) {
    return sum(values, DeviceTensor(device(), DataType::float32, {0}), 0);
  }
};

TEST_P(ReduceKernel, SumsAgreeWithReferenceAndRepeat) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const std::int64_t n : sizes) {
    SCOPED_TRACE(fmt::format("n {}", n));
    const auto values = random.normal(n, 1.0, 0.5);
    const DeviceTensor tensor(device(), DataType::float32, {n}, values);
    const double sum_of_values = sum(tensor), squares = device().reduce().sum_of_squares(tensor);
    // Terms of both signs may cancel: the error is measured against the sum of their sizes, at most sqrt(n *
    // squares).
    EXPECT_NEAR(sum_of_values, reference::sum(values), 1e-13 * std::sqrt(static_cast<double>(n) * squares));
    EXPECT_NEAR(squares / reference::sum_of_squares(values), 1, 1e-12);
    EXPECT_EQ(sum(tensor), sum_of_values);
    EXPECT_EQ(device().reduce().sum_of_squares(tensor), squares);
  }
}

// More than a GPU's threads take in one turn. Whole numbers: the sums are exact in any order.
TEST_P(ReduceKernel, SumsOfManyValues) {
  for (const std::int64_t n : {1'200'003, 4'400'000}) {
    SCOPED_TRACE(fmt::format("n {}", n));
    std::vector<double> values(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % 11) - 3;
    const DeviceTensor tensor(device(), DataType::float32, {n}, values);
    EXPECT_EQ(sum(tensor), reference::sum(values));
    EXPECT_EQ(device().reduce().sum_of_squares(tensor), reference::sum_of_squares(values));
  }
}

TEST_P(ReduceKernel, SumsAddToWhatIsThere) {
  const DeviceTensor first(device(), DataType::float32, {3}, std::vector<double>{1, 2, 4});
  const DeviceTensor second(device(), DataType::float32, {2}, std::vector<double>{8, 0.5});
  EXPECT_EQ(sum(first, second, 0x1p-40), 15.5 + 0x1p-40);
}

TEST_P(ReduceKernel, NothingSumsToZero) {
  const DeviceTensor nothing(device(), DataType::float32, {0});
  EXPECT_EQ(sum(nothing), 0);
  EXPECT_EQ(device().reduce().sum_of_squares(nothing), 0);
  device().reduce().convert(nothing, nothing);
}

TEST_P(ReduceKernel, SumsInDouble) {
  std::vector<double> values(1000, static_cast<float>(1e30));
  const DeviceTensor large(device(), DataType::float32, {1000}, values);
  EXPECT_NEAR(device().reduce().sum_of_squares(large) / reference::sum_of_squares(values), 1, 1e-12);

  values.assign(1000, 1.0);
  values.front() = static_cast<float>(1e15);  // in fp32 the ones would vanish beside it
  values.back() = -values.front();
  const DeviceTensor cancelling(device(), DataType::float32, {1000}, values);
  EXPECT_EQ(sum(cancelling), 998);
}

TEST_P(ReduceKernel, NanAndInfinityAreNotLost) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const std::int64_t at : {0, 17, 257, 1374, 1375}) {
    SCOPED_TRACE(fmt::format("element {}", at));
    std::vector<double> values(1376, 0.5);
    values[at] = std::numeric_limits<double>::quiet_NaN();
    const DeviceTensor with_nan(device(), DataType::float32, {1376}, values);
    EXPECT_TRUE(std::isnan(sum(with_nan)));
    EXPECT_TRUE(std::isnan(device().reduce().sum_of_squares(with_nan)));
    values[at] = -infinity;
    const DeviceTensor with_infinity(device(), DataType::float32, {1376}, values);
    EXPECT_EQ(sum(with_infinity), -infinity);
    EXPECT_EQ(device().reduce().sum_of_squares(with_infinity), infinity);
  }
}

// Runs check(n, source type, destination type).
template <typename Check>
void for_each_conversion(Check check) {
  for (const DataType from : {DataType::float32, DataType::bfloat16})
    for (const DataType to : {DataType::float32, DataType::bfloat16})
      for (const std::int64_t n : sizes) {
        SCOPED_TRACE(fmt::format("n {} {} to {}", n, name_of(from), name_of(to)));
        check(n, from, to);
      }
}

TEST_P(ReduceKernel, ConvertRoundsToNearestEven) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for_each_conversion([&](std::int64_t n, DataType from, DataType to) {
    const auto values = rounded(from, random.normal(n));
    const DeviceTensor source(device(), from, {n}, values), destination(device(), to, {n});
    device().reduce().convert(source, destination);
    EXPECT_EQ(destination.values(), rounded(to, values));
  });
  // Halfway between two bf16 numbers: the even one. Too large for bf16: infinity.
  const std::vector<double> edges{1 + 0x1p-8, 1 + 3 * 0x1p-8, -1 - 0x1p-8, 1 + 0x1p-8 + 0x1p-20,
                                  0x1.fffffep127};
  const DeviceTensor source(device(), DataType::float32, {5}, edges),
      destination(device(), DataType::bfloat16, {5});
  device().reduce().convert(source, destination);
  EXPECT_EQ(destination.values(),
            (std::vector<double>{1, 1 + 0x1p-6, -1, 1 + 0x1p-7, std::numeric_limits<double>::infinity()}));
}

TEST_P(ReduceKernel, ConvertKeepsNanAndInfinity) {
  const double nan = std::numeric_limits<double>::quiet_NaN(),
               infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> values{nan, infinity, -infinity, 0};
  const DeviceTensor source(device(), DataType::float32, {4}, values),
      half(device(), DataType::bfloat16, {4});
  device().reduce().convert(source, half);
  const auto converted = half.values();
  EXPECT_TRUE(std::isnan(converted[0]));
  EXPECT_EQ(converted[1], infinity);
  EXPECT_EQ(converted[2], -infinity);
  EXPECT_EQ(converted[3], 0);
}

INSTANTIATE_TEST_SUITE_P(Devices, ReduceKernel, every_device(), device_label);

}  // namespace
}  // namespace cola
