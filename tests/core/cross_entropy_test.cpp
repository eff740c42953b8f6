#include "core/kernels/cross_entropy.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "reference/cross_entropy.h"
#include "support/device_tensor.h"
#include "support/device_test.h"
#include "support/finite_difference.h"
#include "support/relative_error.h"
#include "support/test_random.h"

namespace cola {
namespace {

/// Logits that are one tile of all columns.
std::vector<Tensor> single_tile(const Tensor& logits) {
  return {logits};
}

TEST(CrossEntropyReference, AgreesWithHandValues) {
  // Probabilities 1/4 and 3/4; a padding column that must not count; a row that is ignored.
  const std::vector<double> logits{0, std::log(3.0), 99, 1, 2, 3};
  const std::vector<std::int32_t> targets{1, ignored_target};
  const auto result = reference::cross_entropy(3, 2, logits, targets);
  EXPECT_NEAR(result.losses[0], std::log(4.0 / 3.0), 1e-15);
  EXPECT_EQ(result.losses[1], 0);
  EXPECT_NEAR(result.d_logits[0], 0.25, 1e-15);
  EXPECT_NEAR(result.d_logits[1], -0.25, 1e-15);
  for (std::size_t i = 2; i < 6; ++i) EXPECT_EQ(result.d_logits[i], 0) << i;
}

TEST(CrossEntropyReference, GradientAgreesWithFiniteDifferences) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const auto logits = random.normal(4 * 6);
  const std::vector<std::int32_t> targets{0, ignored_target, 4, 2};
  const auto loss = [&](const std::vector<double>& x) {
    const auto losses = reference::cross_entropy(6, 5, x, targets).losses;
    return std::accumulate(losses.begin(), losses.end(), 0.0);
  };
  EXPECT_TRUE(is_close(reference::cross_entropy(6, 5, logits, targets).d_logits,
                       finite_difference_gradient(loss, logits), 1e-8));
}

struct Shape {
  std::int64_t n, vocabulary, stored;
};

void check(Device& device, TestRandom& random, const Shape& shape, DataType type, double deviation) {
  const auto [n, vocabulary, stored] = shape;
  SCOPED_TRACE(fmt::format("n {} vocabulary {} stored {} {}, logits around {}", n, vocabulary, stored,
                           name_of(type), deviation));
  auto logits = rounded(type, random.normal(n * stored, deviation));
  for (std::int64_t row = 0; row < n; ++row)  // what lies in the padding must not matter, be it large or NaN
    for (std::int64_t j = vocabulary; j < stored; ++j)
      logits[row * stored + j] = row % 2 ? 65536 : std::numeric_limits<double>::quiet_NaN();
  auto targets = random.integers(n, 0, static_cast<std::int32_t>(vocabulary - 1));
  for (std::size_t i = 2; i < targets.size(); i += 3) targets[i] = ignored_target;
  targets[0] = static_cast<std::int32_t>(vocabulary - 1);
  const auto expected = reference::cross_entropy(stored, vocabulary, logits, targets);

  const DeviceTensor device_logits(device, type, {n, stored}, logits), device_targets(device, {n}, targets);
  const DeviceTensor losses(device, DataType::float32, {n}), losses_again(device, DataType::float32, {n});
  device.cross_entropy().forward(single_tile(device_logits), device_targets, vocabulary, losses);
  EXPECT_TRUE(is_close(losses.values(), expected.losses, tolerance_of(DataType::float32)));
  device.cross_entropy().forward_backward(single_tile(device_logits), device_targets, vocabulary,
                                          losses_again);
  EXPECT_EQ(losses_again.values(), losses.values());
  const auto gradient = device_logits.values();
  EXPECT_TRUE(is_close(gradient, expected.d_logits, tolerance_of(type)));
  for (std::int64_t row = 0; row < n; ++row)
    for (std::int64_t j = 0; j < stored; ++j)
      if (targets[row] == ignored_target || j >= vocabulary) {
        EXPECT_EQ(gradient[row * stored + j], 0) << "row " << row << " column " << j;
      }
}

class CrossEntropyKernel : public DeviceTest {};

TEST_P(CrossEntropyKernel, AgreesWithReference) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const Shape& shape :
       {Shape{7, 2, 2}, Shape{1, 50, 64}, Shape{7, 24, 24}, Shape{33, 258, 320}, Shape{7, 258, 258},
        Shape{40, 1376, 1376}, Shape{3, 32000, 32000}, Shape{3, 5461, 5504}, Shape{2, 5001, 5001}})
    for (const DataType type : {DataType::float32, DataType::bfloat16})
      check(device(), random, shape, type, 2.0);
}

TEST_P(CrossEntropyKernel, ExtremeLogitsStayFinite) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const DataType type : {DataType::float32, DataType::bfloat16}) {
    check(device(), random, {33, 258, 320}, type, 1e4);
    check(device(), random, {7, 40, 40}, type, 1e4);
  }
}

TEST_P(CrossEntropyKernel, ForwardLeavesLogitsAlone) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const auto logits = random.normal(7 * 72);
  const DeviceTensor device_logits(device(), DataType::float32, {7, 72}, logits);
  const DeviceTensor targets(device(), {7}, random.integers(7, 0, 49)),
      losses(device(), DataType::float32, {7});
  device().cross_entropy().forward(single_tile(device_logits), targets, 50, losses);
  EXPECT_EQ(device_logits.values(), logits);
}

TEST_P(CrossEntropyKernel, TilesOfColumnsGiveTheSame) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  constexpr std::int64_t rows = 9, columns = 120, vocabulary = 101,
                         width = 48;  // tiles of 48, 48 and 24 columns
  const auto logits = random.normal(rows * columns);
  std::vector<double> tiled;
  for (std::int64_t first = 0; first < columns; first += width)
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t column = first; column < std::min(columns, first + width); ++column)
        tiled.push_back(logits[static_cast<std::size_t>(row * columns + column)]);
  auto ids = random.integers(rows, 0, vocabulary - 1);
  ids[2] = ignored_target;
  ids[5] = 50;   // in the second tile
  ids[6] = 100;  // in the third
  const DeviceTensor whole(device(), DataType::float32, {rows, columns}, logits);
  const DeviceTensor memory(device(), DataType::float32, {rows, columns}, tiled);
  const DeviceTensor targets(device(), {rows}, ids), losses(device(), DataType::float32, {rows}),
      tiled_losses(device(), DataType::float32, {rows});
  const Tensor all = memory;
  const std::vector<Tensor> tiles{all.view(0, {rows, 48}), all.view(rows * 48, {rows, 48}),
                                  all.view(rows * 96, {rows, 24})};
  device().cross_entropy().forward_backward(single_tile(whole), targets, vocabulary, losses);
  device().cross_entropy().forward_backward(tiles, targets, vocabulary, tiled_losses);
  EXPECT_TRUE(is_close(tiled_losses.values(), losses.values(), 1e-6));
  const std::vector<double> gradient = whole.values(), tiled_gradient = memory.values();
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t column = 0; column < columns; ++column) {
      const std::int64_t tile = column / width, tile_width = tile == 2 ? 24 : 48;
      const auto index = static_cast<std::size_t>(rows * width * tile + row * tile_width + column % width);
      EXPECT_NEAR(tiled_gradient[index], gradient[static_cast<std::size_t>(row * columns + column)], 1e-6)
          << "row " << row << ", column " << column;
    }
}

TEST_P(CrossEntropyKernel, NanInLogitsReachesTheLoss) {
  auto logits = std::vector<double>(2 * 24, 1.0);
  logits[24 + 17] = std::numeric_limits<double>::quiet_NaN();
  const DeviceTensor device_logits(device(), DataType::float32, {2, 24}, logits);
  const DeviceTensor targets(device(), {2}, std::vector<std::int32_t>{3, 3});
  const DeviceTensor losses(device(), DataType::float32, {2});
  device().cross_entropy().forward(single_tile(device_logits), targets, 24, losses);
  EXPECT_NEAR(losses.values()[0], std::log(24.0), 1e-6);
  EXPECT_TRUE(std::isnan(losses.values()[1]));
}

INSTANTIATE_TEST_SUITE_P(Devices, CrossEntropyKernel, every_device(), device_label);

}  // namespace
}  // namespace cola
