#include "core/kernels/adamw.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "reference/adamw.h"
#include "support/device_tensor.h"
#include "support/device_test.h"
#include "support/relative_error.h"
#include "support/test_random.h"

namespace cola {
namespace {

TEST(AdamWReference, AgreesWithHandValues) {
  AdamWParameters parameters{
      .learning_rate = 0.5f, .beta1 = 0.75f, .beta2 = 0.5f, .epsilon = 0, .weight_decay = 0.25f};
  reference::AdamWState state{{8}, {0}, {0}};
  reference::adamw_update(parameters, std::vector<double>{4}, state);
  // m = 1, v = 8; corrected 4 and 16, so the first step is lr * (4 / 4 + 0.25 * 8) = 1.5.
  EXPECT_DOUBLE_EQ(state.exp_avg[0], 1);
  EXPECT_DOUBLE_EQ(state.exp_avg_sq[0], 8);
  EXPECT_DOUBLE_EQ(state.weights[0], 6.5);
  parameters.step = 2;
  parameters.gradient_scale = -0.5f;
  reference::adamw_update(parameters, std::vector<double>{4}, state);
  // g = -2: m = 0.25, v = 6; corrected 0.25 / (7 / 16) = 4 / 7 and 6 / (3 / 4) = 8.
  EXPECT_DOUBLE_EQ(state.exp_avg[0], 0.25);
  EXPECT_DOUBLE_EQ(state.exp_avg_sq[0], 6);
  EXPECT_NEAR(state.weights[0], 6.5 - 0.5 * (4.0 / 7 / std::sqrt(8.0) + 0.25 * 6.5), 1e-14);
}

TEST(AdamWReference, DecayActsWithoutAGradient) {
  const AdamWParameters parameters{.learning_rate = 0.5f, .weight_decay = 0.25f};
  reference::AdamWState state{{8}, {0}, {0}};
  reference::adamw_update(parameters, std::vector<double>{0}, state);
  EXPECT_DOUBLE_EQ(state.weights[0], 7);
}

struct DeviceState {
  DeviceState(Device& device, const reference::AdamWState& state, DataType working_type)
      : elements(static_cast<std::int64_t>(state.weights.size())),
        weights(device, DataType::float32, {elements}, state.weights),
        exp_avg(device, DataType::float32, {elements}, state.exp_avg),
        exp_avg_sq(device, DataType::float32, {elements}, state.exp_avg_sq),
        working(device, working_type, {elements}) {}

  std::int64_t elements;
  DeviceTensor weights, exp_avg, exp_avg_sq, working;
};

std::vector<double> difference(std::vector<double> a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return a;
}

class AdamWKernel : public DeviceTest {};

TEST_P(AdamWKernel, FollowsReferenceOverSeveralSteps) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const DataType working_type : {DataType::float32, DataType::bfloat16})
    for (const std::int64_t n : {1, 7, 24, 258, 1376, 10007}) {
      SCOPED_TRACE(fmt::format("n {} {}", n, name_of(working_type)));
      AdamWParameters parameters{.learning_rate = 0.1f, .weight_decay = 0.05f, .gradient_scale = 0.125f};
      const double mean = n == 1 ? 20 : 0;  // a single number must not cancel out: its error is relative
      const auto initial = random.normal(n, 1.0, mean);
      reference::AdamWState state{initial, std::vector<double>(n), std::vector<double>(n)};
      const DeviceState on_device(device(), state, working_type);
      for (parameters.step = 1; parameters.step <= 4; ++parameters.step) {
        const auto gradient = random.normal(n, 3.0, mean);
        const DeviceTensor device_gradient(device(), DataType::float32, {n}, gradient);
        device().adamw().update(parameters, on_device.weights, on_device.exp_avg, on_device.exp_avg_sq,
                                device_gradient, on_device.working);
        reference::adamw_update(parameters, gradient, state);
        EXPECT_EQ(device_gradient.values(), gradient);
      }
      const auto weights = on_device.weights.values();
      EXPECT_TRUE(is_close(weights, state.weights, 1e-5));
      EXPECT_TRUE(is_close(difference(weights, initial), difference(state.weights, initial), 1e-5))
          << "the change";
      EXPECT_TRUE(is_close(on_device.exp_avg.values(), state.exp_avg, 1e-5));
      EXPECT_TRUE(is_close(on_device.exp_avg_sq.values(), state.exp_avg_sq, 1e-5));
      EXPECT_EQ(on_device.working.values(), rounded(working_type, weights));
    }
}

TEST_P(AdamWKernel, LateStepsNeedLittleBiasCorrection) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const std::int64_t step : {1000, 100000, 10000000}) {
    const AdamWParameters parameters{.learning_rate = 0.1f, .weight_decay = 0.01f, .step = step};
    auto moments = random.normal(72, 0.1);
    auto squares = random.normal(72);
    for (double& square : squares) square *= square;
    reference::AdamWState state{random.normal(72), moments, rounded(DataType::float32, squares)};
    const auto gradient = random.normal(72);
    const DeviceState on_device(device(), state, DataType::float32);
    const DeviceTensor device_gradient(device(), DataType::float32, {72}, gradient);
    device().adamw().update(parameters, on_device.weights, on_device.exp_avg, on_device.exp_avg_sq,
                            device_gradient, on_device.working);
    reference::adamw_update(parameters, gradient, state);
    EXPECT_TRUE(is_close(on_device.weights.values(), state.weights, 1e-5)) << "step " << step;
  }
}

// Padding is stored as zeros with zero gradients: it must stay zero, not become 0 / 0.
TEST_P(AdamWKernel, ZerosStayZero) {
  const std::vector<double> zeros(40, 0.0);
  const DeviceState state(device(), {zeros, zeros, zeros}, DataType::bfloat16);
  const DeviceTensor gradient(device(), DataType::float32, {40}, zeros);
  device().adamw().update({.learning_rate = 0.1f, .weight_decay = 0.1f}, state.weights, state.exp_avg,
                          state.exp_avg_sq, gradient, state.working);
  EXPECT_EQ(state.weights.values(), zeros);
  EXPECT_EQ(state.working.values(), zeros);
}

INSTANTIATE_TEST_SUITE_P(Devices, AdamWKernel, every_device(), device_label);

}  // namespace
}  // namespace cola
