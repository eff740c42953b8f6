#include "core/kernels/norm.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "reference/norm.h"
#include "support/device_tensor.h"
#include "support/device_test.h"
#include "support/finite_difference.h"
#include "support/relative_error.h"
#include "support/test_random.h"

namespace cola {
namespace {

constexpr float epsilon = 1e-6f;

TEST(NormReference, AgreesWithHandValues) {
  const std::vector<double> x{1, 1, 2, 0, 0, 0}, weight{1, 2, 3};
  const auto result = reference::norm_forward(2, 3, x, weight, 0.25);
  // mean(1, 1, 4) + 0.25 = 2.25, so the first row is scaled by 2/3; a row of zeros keeps 1 / sqrt(epsilon)
  // = 2.
  EXPECT_DOUBLE_EQ(result.inverse_rms[0], 2.0 / 3);
  EXPECT_DOUBLE_EQ(result.inverse_rms[1], 2);
  const std::vector<double> expected{2.0 / 3, 4.0 / 3, 4, 0, 0, 0};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_DOUBLE_EQ(result.y[i], expected[i]) << i;
}

TEST(NormReference, GradientAgreesWithFiniteDifferences) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const std::int64_t n = 3, d = 7;
  const auto x = random.normal(n * d), weight = random.normal(d), dy = random.normal(n * d);
  const auto forward = reference::norm_forward(n, d, x, weight, 0.1);
  const auto gradient = reference::norm_backward(n, d, dy, x, weight, forward.inverse_rms);
  const auto loss_of_x = [&](const std::vector<double>& point) {
    return inner_product(reference::norm_forward(n, d, point, weight, 0.1).y, dy);
  };
  const auto loss_of_weight = [&](const std::vector<double>& point) {
    return inner_product(reference::norm_forward(n, d, x, point, 0.1).y, dy);
  };
  EXPECT_TRUE(is_close(gradient.dx, finite_difference_gradient(loss_of_x, x), 1e-8));
  EXPECT_TRUE(is_close(gradient.dweight, finite_difference_gradient(loss_of_weight, weight), 1e-8));
}

// Runs check(n, d, type) over sizes and types. The last two rows are wider than a GPU's block, once in whole
// packs and once not.
template <typename Check>
void for_each_case(Check check) {
  for (const DataType type : {DataType::float32, DataType::bfloat16})
    for (const std::int64_t n : {1, 7, 33})
      for (const std::int64_t d : {8, 24, 40, 72, 258, 1376, 9000, 1601}) {
        if (n > 7 && d > 1376) continue;  // the wide ones would take long
        SCOPED_TRACE(fmt::format("n {} d {} {}", n, d, name_of(type)));
        check(n, d, type);
      }
}

class NormKernel : public DeviceTest {};

TEST_P(NormKernel, ForwardAgreesWithReference) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for_each_case([&](std::int64_t n, std::int64_t d, DataType type) {
    auto x = rounded(type, random.normal(n * d, 3.0));
    std::fill(x.end() - d, x.end(), 0.0);  // a row of zeros must not become NaN
    const auto weight = rounded(type, random.normal(d));
    const DeviceTensor device_x(device(), type, {n, d}, x), device_weight(device(), type, {d}, weight);
    const DeviceTensor y(device(), type, {n, d}), inverse_rms(device(), DataType::float32, {n});
    device().norm().forward(device_x, device_weight, epsilon, y, inverse_rms);
    const auto expected = reference::norm_forward(n, d, x, weight, epsilon);
    EXPECT_TRUE(is_close(y.values(), expected.y, tolerance_of(type)));
    EXPECT_TRUE(is_close(inverse_rms.values(), expected.inverse_rms, tolerance_of(DataType::float32)));
  });
}

TEST_P(NormKernel, EpsilonCountsForSmallValues) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const auto x = random.normal(7 * 40, 1e-3), weight = random.normal(40);
  const DeviceTensor device_x(device(), DataType::float32, {7, 40}, x);
  const DeviceTensor device_weight(device(), DataType::float32, {40}, weight);
  const DeviceTensor y(device(), DataType::float32, {7, 40}), inverse_rms(device(), DataType::float32, {7});
  device().norm().forward(device_x, device_weight, epsilon, y, inverse_rms);
  EXPECT_TRUE(is_close(y.values(), reference::norm_forward(7, 40, x, weight, epsilon).y, 1e-5));
}

TEST_P(NormKernel, RecomputeGivesTheSameBits) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for_each_case([&](std::int64_t n, std::int64_t d, DataType type) {
    const DeviceTensor x(device(), type, {n, d}, random.normal(n * d));
    const DeviceTensor weight(device(), type, {d}, random.normal(d));
    const DeviceTensor y(device(), type, {n, d}), inverse_rms(device(), DataType::float32, {n});
    device().norm().forward(x, weight, epsilon, y, inverse_rms);
    const DeviceTensor again(device(), type, {n, d});
    device().norm().recompute(x, weight, inverse_rms, again);
    EXPECT_EQ(again.values(), y.values());
  });
}

TEST_P(NormKernel, BackwardAddsTheReferencesGradient) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for_each_case([&](std::int64_t n, std::int64_t d, DataType type) {
    const auto x = rounded(type, random.normal(n * d)), dy = rounded(type, random.normal(n * d));
    const auto weight = rounded(type, random.normal(d)), dx = rounded(type, random.normal(n * d));
    const auto dweight = random.normal(d);
    const auto inverse_rms =
        rounded(DataType::float32, reference::norm_forward(n, d, x, weight, epsilon).inverse_rms);
    auto expected = reference::norm_backward(n, d, dy, x, weight, inverse_rms);
    for (std::size_t i = 0; i < dx.size(); ++i) expected.dx[i] += dx[i];
    for (std::size_t i = 0; i < dweight.size(); ++i) expected.dweight[i] += dweight[i];

    const DeviceTensor device_x(device(), type, {n, d}, x), device_dy(device(), type, {n, d}, dy);
    const DeviceTensor device_weight(device(), type, {d}, weight), device_dx(device(), type, {n, d}, dx);
    const DeviceTensor device_inverse_rms(device(), DataType::float32, {n}, inverse_rms);
    const DeviceTensor device_dweight(device(), DataType::float32, {d}, dweight);
    device().norm().backward(device_dy,
                             {device_x, device_weight, device_inverse_rms, device_dx, device_dweight});
    EXPECT_TRUE(is_close(device_dx.values(), expected.dx, tolerance_of(type)));
    EXPECT_TRUE(is_close(device_dweight.values(), expected.dweight, tolerance_of(DataType::float32)));
  });
}

// So many rows that a GPU's block has several.
TEST_P(NormKernel, WeightGradientOfManyRows) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const std::int64_t n = 10007, d = 8;
  const DataType type = DataType::float32;
  const auto x = random.normal(n * d), dy = random.normal(n * d), weight = random.normal(d);
  const auto inverse_rms = rounded(type, reference::norm_forward(n, d, x, weight, epsilon).inverse_rms);
  const auto expected = reference::norm_backward(n, d, dy, x, weight, inverse_rms);
  const DeviceTensor device_x(device(), type, {n, d}, x), device_dy(device(), type, {n, d}, dy);
  const DeviceTensor device_weight(device(), type, {d}, weight);
  const DeviceTensor device_inverse_rms(device(), type, {n}, inverse_rms);
  const DeviceTensor dx(device(), type, {n, d}, std::vector<double>(n * d));
  const DeviceTensor dweight(device(), type, {d}, std::vector<double>(d));
  device().norm().backward(device_dy, {device_x, device_weight, device_inverse_rms, dx, dweight});
  EXPECT_TRUE(is_close(dx.values(), expected.dx, 1e-5));
  EXPECT_TRUE(is_close(dweight.values(), expected.dweight, 1e-5));
}

TEST_P(NormKernel, WeightGradientIsRepeatable) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const std::int64_t n = 1001, d = 72;
  const DataType type = DataType::float32;
  const DeviceTensor x(device(), type, {n, d}, random.normal(n * d)),
      dy(device(), type, {n, d}, random.normal(n * d));
  const DeviceTensor weight(device(), type, {d}, random.normal(d));
  const DeviceTensor inverse_rms(device(), type, {n}, random.normal(n));
  std::vector<std::vector<double>> results;
  for (int call = 0; call < 2; ++call) {
    const DeviceTensor dx(device(), type, {n, d}, std::vector<double>(n * d));
    const DeviceTensor dweight(device(), type, {d}, std::vector<double>(d));
    device().norm().backward(dy, {x, weight, inverse_rms, dx, dweight});
    results.push_back(dweight.values());
  }
  EXPECT_EQ(results[0], results[1]);
}

INSTANTIATE_TEST_SUITE_P(Devices, NormKernel, every_device(), device_label);

}  // namespace
}  // namespace cola
