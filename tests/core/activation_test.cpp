#include "core/kernels/activation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "reference/activation.h"
#include "support/device_tensor.h"
#include "support/device_test.h"
#include "support/finite_difference.h"
#include "support/relative_error.h"
#include "support/test_random.h"

namespace cola {
namespace {

TEST(ActivationReference, AgreesWithHandValues) {
  EXPECT_EQ(reference::silu(0), 0);
  EXPECT_NEAR(reference::silu(1), 0.7310585786300049, 1e-15);
  EXPECT_NEAR(reference::silu(std::log(3.0)), 0.75 * std::log(3.0), 1e-15);
  EXPECT_EQ(reference::silu_derivative(0), 0.5);
  EXPECT_EQ(reference::silu(1e4), 1e4);
  EXPECT_EQ(reference::silu(-1e4), 0);
  const std::vector<double> gate{std::log(3.0), 2}, up{4, 5};
  EXPECT_EQ(reference::gate_product(GateActivation::none, gate, up)[1], 10);
  EXPECT_NEAR(reference::gate_product(GateActivation::silu, gate, up)[0], 3 * std::log(3.0), 1e-14);
}

TEST(ActivationReference, SplitPutsPartsOneAfterAnother) {
  // Two rows of two parts of one column: a0 b0 / a1 b1 becomes a0 a1 / b0 b1.
  const auto split = reference::silu_split(2, 2, 1, std::vector<double>{1, 2, 3, 4});
  EXPECT_EQ(split, (std::vector<double>{reference::silu(1), reference::silu(3), reference::silu(2),
                                        reference::silu(4)}));
}

TEST(ActivationReference, GradientsAgreeWithFiniteDifferences) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const auto joined = random.normal(3 * 2 * 5, 3.0), d_split = random.normal(3 * 2 * 5);
  const auto split_loss = [&](const std::vector<double>& x) {
    return inner_product(reference::silu_split(2, 3, 5, x), d_split);
  };
  EXPECT_TRUE(is_close(reference::silu_split_backward(2, 3, 5, joined, d_split),
                       finite_difference_gradient(split_loss, joined), 1e-8));

  const auto gate = random.normal(20, 3.0), up = random.normal(20), d_product = random.normal(20);
  for (const GateActivation activation : {GateActivation::none, GateActivation::silu}) {
    const auto gradient = reference::gate_product_backward(activation, gate, up, d_product);
    const auto loss_of_gate = [&](const std::vector<double>& x) {
      return inner_product(reference::gate_product(activation, x, up), d_product);
    };
    const auto loss_of_up = [&](const std::vector<double>& x) {
      return inner_product(reference::gate_product(activation, gate, x), d_product);
    };
    EXPECT_TRUE(is_close(gradient.d_gate, finite_difference_gradient(loss_of_gate, gate), 1e-8));
    EXPECT_TRUE(is_close(gradient.d_up, finite_difference_gradient(loss_of_up, up), 1e-8));
  }
}

// Mostly moderate values, and some whose exponential overflows.
std::vector<double> activation_inputs(TestRandom& random, DataType type, std::int64_t count) {
  auto values = random.normal(count, 3.0);
  for (std::size_t i = 5; i < values.size(); i += 97) values[i] = -100 - values[i];
  for (std::size_t i = 50; i < values.size(); i += 97) values[i] = 30 + values[i];
  return rounded(type, values);
}

class ActivationKernel : public DeviceTest {};

TEST_P(ActivationKernel, SiluSplitAgreesWithReference) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const DataType type : {DataType::float32, DataType::bfloat16})
    for (const std::int64_t parts : {1, 2, 3})
      for (const std::int64_t n : {1, 7, 33})
        for (const std::int64_t r : {8, 12, 24, 40, 72, 258, 1376}) {
          SCOPED_TRACE(fmt::format("parts {} n {} r {} {}", parts, n, r, name_of(type)));
          const auto joined = activation_inputs(random, type, n * parts * r);
          const auto d_split = rounded(type, random.normal(n * parts * r));
          const DeviceTensor device_joined(device(), type, {n, parts * r}, joined);
          const DeviceTensor split(device(), type, {parts, n, r});
          device().activation().silu_split(device_joined, split);
          EXPECT_TRUE(
              is_close(split.values(), reference::silu_split(parts, n, r, joined), tolerance_of(type)));

          const DeviceTensor device_d_split(device(), type, {parts, n, r}, d_split);
          const DeviceTensor d_joined(device(), type, {n, parts * r});
          device().activation().silu_split_backward(device_joined, device_d_split, d_joined);
          EXPECT_TRUE(is_close(d_joined.values(),
                               reference::silu_split_backward(parts, n, r, joined, d_split),
                               tolerance_of(type)));
        }
}

TEST_P(ActivationKernel, GateProductAgreesWithReference) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const GateActivation activation : {GateActivation::none, GateActivation::silu})
    for (const DataType type : {DataType::float32, DataType::bfloat16})
      for (const std::int64_t n : {1, 7, 33})
        for (const std::int64_t d : {7, 24, 40, 72, 258, 1376}) {
          SCOPED_TRACE(fmt::format("{} n {} d {} {}",
                                   activation == GateActivation::silu ? "silu" : "no activation", n, d,
                                   name_of(type)));
          const auto gate = activation_inputs(random, type, n * d), up = rounded(type, random.normal(n * d));
          const DeviceTensor device_gate(device(), type, {n, d}, gate), device_up(device(), type, {n, d}, up);
          const DeviceTensor product(device(), type, {n, d});
          device().activation().gate_product(activation, device_gate, device_up, product);
          EXPECT_TRUE(
              is_close(product.values(), reference::gate_product(activation, gate, up), tolerance_of(type)));

          const auto d_product = rounded(type, random.normal(n * d));
          const auto expected = reference::gate_product_backward(activation, gate, up, d_product);
          const DeviceTensor device_d_product(device(), type, {n, d}, d_product);
          const DeviceTensor d_gate(device(), type, {n, d}), d_up(device(), type, {n, d});
          const auto& kernels = device().activation();
          kernels.gate_product_backward(activation, device_gate, device_up, device_d_product, d_gate, d_up);
          EXPECT_TRUE(is_close(d_gate.values(), expected.d_gate, tolerance_of(type)));
          EXPECT_TRUE(is_close(d_up.values(), expected.d_up, tolerance_of(type)));
          kernels.gate_product_backward(activation, device_gate, device_up, device_d_product, device_gate,
                                        device_up);
          EXPECT_EQ(device_gate.values(), d_gate.values()) << "in place";
          EXPECT_EQ(device_up.values(), d_up.values()) << "in place";
        }
}

TEST_P(ActivationKernel, ExtremeValuesStayFinite) {
  const std::vector<double> x{1e4, -1e4, 3e38, -3e38, 0, -0.0, 100, -100};
  const std::vector<double> ones(x.size(), 1.0), expected{1e4, 0, 3e38, 0, 0, 0, 100, 0},
      slope{1, 0, 1, 0, .5, .5, 1, 0};
  const DataType type = DataType::float32;
  const DeviceTensor joined(device(), type, {1, 8}, x), d_split(device(), type, {1, 1, 8}, ones);
  const DeviceTensor split(device(), type, {1, 1, 8}), d_joined(device(), type, {1, 8});
  device().activation().silu_split(joined, split);
  device().activation().silu_split_backward(joined, d_split, d_joined);
  const auto values = split.values(), gradients = d_joined.values();
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(values[i], expected[i], 1e-6 * std::abs(expected[i]) + 1e-30) << "silu(" << x[i] << ")";
    EXPECT_NEAR(gradients[i], slope[i], 1e-6) << "the derivative at " << x[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, ActivationKernel, every_device(), device_label);

}  // namespace
}  // namespace cola
