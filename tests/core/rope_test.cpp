#include "core/kernels/rope.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "reference/rope.h"
#include "support/device_tensor.h"
#include "support/device_test.h"
#include "support/finite_difference.h"
#include "support/relative_error.h"
#include "support/test_random.h"

namespace cola {
namespace {

using reference::RopeShape;

struct Tables {
  std::vector<double> cosines, sines;
};

Tables tables_of(std::int64_t sequence, std::int64_t head_dim, double theta) {
  Tables tables;
  for (const double angle : reference::rope_angles(sequence, head_dim, theta)) {
    tables.cosines.push_back(std::cos(angle));
    tables.sines.push_back(std::sin(angle));
  }
  return {rounded(DataType::float32, tables.cosines), rounded(DataType::float32, tables.sines)};
}

TEST(RopeReference, AgreesWithHandValues) {
  // theta 100 and head_dim 4: the angles at position 1 are 1 and 0.1; element 0 pairs with 2, and 1 with 3.
  const auto angles = reference::rope_angles(2, 4, 100);
  ASSERT_EQ(angles.size(), 4u);
  EXPECT_EQ(angles[0], 0);
  EXPECT_NEAR(angles[2], 1, 1e-15);
  EXPECT_NEAR(angles[3], 0.1, 1e-15);

  const double quarter = std::numbers::pi / 2;
  const std::vector<double> cosines{1, 1, std::cos(quarter), 1}, sines{0, 0, std::sin(quarter), 0};
  const std::vector<double> x{1, 2, 3, 4, 1, 2, 3, 4};  // two positions of one head
  const auto y = reference::rotate({1, 2, 1, 4}, x, cosines, sines, Rotation::forward);
  const std::vector<double> expected{1, 2, 3, 4, -3, 2, 1, 4};
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], expected[i], 1e-15) << i;
}

TEST(RopeReference, GradientAgreesWithFiniteDifferences) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const RopeShape shape{.batch = 2, .sequence = 3, .heads = 2, .head_dim = 4};
  const auto x = random.normal(2 * 3 * 2 * 4), dy = random.normal(2 * 3 * 2 * 4);
  const Tables tables = tables_of(3, 4, 10000);
  const auto loss = [&](const std::vector<double>& point) {
    return inner_product(reference::rotate(shape, point, tables.cosines, tables.sines, Rotation::forward),
                         dy);
  };
  EXPECT_TRUE(is_close(reference::rotate(shape, dy, tables.cosines, tables.sines, Rotation::backward),
                       finite_difference_gradient(loss, x), 1e-8));
}

class RopeKernel : public DeviceTest {};

TEST_P(RopeKernel, AgreesWithReference) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const DataType type : {DataType::float32, DataType::bfloat16})
    for (const RopeShape& shape :
         {RopeShape{1, 1, 1, 8}, RopeShape{2, 7, 4, 8}, RopeShape{3, 64, 2, 16}, RopeShape{1, 100, 1, 64},
          RopeShape{2, 257, 2, 64}, RopeShape{2, 33, 3, 128}, RopeShape{2, 7, 3, 24},
          RopeShape{2, 3, 40, 128}})
      for (const Rotation rotation : {Rotation::forward, Rotation::backward}) {
        const auto [batch, sequence, heads, head_dim] = shape;
        SCOPED_TRACE(fmt::format("batch {} sequence {} heads {} head_dim {} {} {}", batch, sequence, heads,
                                 head_dim, name_of(type),
                                 rotation == Rotation::forward ? "forward" : "backward"));
        const auto x = rounded(type, random.normal(batch * sequence * heads * head_dim));
        const Tables tables = tables_of(sequence, head_dim, 10000);
        const DeviceTensor device_x(device(), type, {batch * sequence, heads * head_dim}, x);
        const DeviceTensor cosines(device(), DataType::float32, {sequence, head_dim / 2}, tables.cosines);
        const DeviceTensor sines(device(), DataType::float32, {sequence, head_dim / 2}, tables.sines);
        device().rope().rotate(device_x, {cosines, sines}, rotation);
        EXPECT_TRUE(is_close(device_x.values(),
                             reference::rotate(shape, x, tables.cosines, tables.sines, rotation),
                             tolerance_of(type)));
      }
}

TEST_P(RopeKernel, BackwardUndoesForward) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const auto x = random.normal(2 * 100 * 4 * 16);
  const Tables tables = tables_of(100, 16, 10000);
  const DeviceTensor device_x(device(), DataType::float32, {2 * 100, 4 * 16}, x);
  const DeviceTensor cosines(device(), DataType::float32, {100, 8}, tables.cosines);
  const DeviceTensor sines(device(), DataType::float32, {100, 8}, tables.sines);
  device().rope().rotate(device_x, {cosines, sines}, Rotation::forward);
  EXPECT_GT(relative_error(device_x.values(), x), 0.1);
  device().rope().rotate(device_x, {cosines, sines}, Rotation::backward);
  EXPECT_TRUE(is_close(device_x.values(), x, 1e-5));
}

INSTANTIATE_TEST_SUITE_P(Devices, RopeKernel, every_device(), device_label);

}  // namespace
}  // namespace cola
