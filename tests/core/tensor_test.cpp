#include "core/tensor.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "core/error.h"

namespace cola {
namespace {

class TensorTest : public ::testing::Test {
 protected:
  TensorTest() { std::iota(values.begin(), values.end(), 0.0f); }

  std::vector<float> values = std::vector<float>(24);
  Tensor tensor{values.data(), DataType::float32, {2, 3, 4}};
};

TEST_F(TensorTest, KnowsItsShape) {
  EXPECT_EQ(tensor.rank(), 3);
  EXPECT_EQ(tensor.elements(), 24);
  EXPECT_EQ(tensor.bytes(), 96u);
  EXPECT_EQ(tensor.dim(0), 2);
  EXPECT_EQ(tensor.dim(2), 4);
  EXPECT_EQ(tensor.dim(-1), 4);
  EXPECT_EQ(tensor.dim(-3), 2);
  EXPECT_EQ(tensor.describe(), "fp32[2, 3, 4]");
}

TEST_F(TensorTest, SelectsRowsAndEntries) {
  const Tensor second = tensor[1];
  EXPECT_EQ(second.describe(), "fp32[3, 4]");
  EXPECT_EQ(*second.as<float>(), 12);
  EXPECT_EQ(*tensor[1][2].as<float>(), 20);
  EXPECT_EQ(tensor[1][2].describe(), "fp32[4]");
  const Tensor tail = tensor.reshape({6, 4}).rows(4, 6);
  EXPECT_EQ(tail.describe(), "fp32[2, 4]");
  EXPECT_EQ(*tail.as<float>(), 16);
  EXPECT_EQ(tensor.rows(1, 1).elements(), 0);
  EXPECT_THROW(tensor.rows(1, 3), Error);
  EXPECT_THROW(tensor.rows(-1, 1), Error);
  EXPECT_THROW(tensor.rows(2, 1), Error);
  EXPECT_THROW(tensor[2], Error);
}

TEST_F(TensorTest, ReshapesAndViews) {
  EXPECT_EQ(tensor.reshape({4, 6}).describe(), "fp32[4, 6]");
  EXPECT_EQ(tensor.reshape({24}).data(), tensor.data());
  EXPECT_THROW(tensor.reshape({5, 5}), Error);
  const Tensor view = tensor.view(6, {3, 6});
  EXPECT_EQ(view.describe(), "fp32[3, 6]");
  EXPECT_EQ(view.as<float>()[0], 6);
  EXPECT_EQ(view.span<float>().size(), 18u);
  EXPECT_THROW(tensor.view(7, {3, 6}), Error);
  EXPECT_THROW(tensor.view(-1, {3}), Error);
}

TEST_F(TensorTest, RefusesAnotherType) {
  EXPECT_THROW(tensor.as<bfloat16>(), Error);
  EXPECT_THROW(tensor.span<std::int32_t>(), Error);
  EXPECT_THROW(Tensor(nullptr, DataType::int32, {1, 1, 1, 1, 1}), Error);
}

TEST_F(TensorTest, OffsetsCountInBytesOfTheType) {
  std::vector<bfloat16> halves(12);
  const Tensor narrow(halves.data(), DataType::bfloat16, {3, 4});
  EXPECT_EQ(narrow[2].data(), halves.data() + 8);
  EXPECT_EQ(narrow.view(5, {2}).data(), halves.data() + 5);
  EXPECT_EQ(narrow.bytes(), 24u);
}

TEST_F(TensorTest, MayBeEmptyOrWithoutMemory) {
  const Tensor none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.elements(), 0);
  EXPECT_THROW(none.rows(0, 0), Error);
  const Tensor planned(nullptr, DataType::bfloat16, {8, 4});
  EXPECT_EQ(planned.rows(4, 8).data(), nullptr);
  EXPECT_EQ(planned[1].data(), nullptr);
  EXPECT_EQ(planned.view(3, {5}).data(), nullptr);
  EXPECT_FALSE(planned.empty());
}

TEST_F(TensorTest, WrapsASpan) {
  const Tensor flat = Tensor::of(std::span<float>(values));
  EXPECT_EQ(flat.describe(), "fp32[24]");
  EXPECT_EQ(flat.data(), values.data());
}

}  // namespace
}  // namespace cola
