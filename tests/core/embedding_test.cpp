#include "core/kernels/embedding.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <vector>

#include "reference/embedding.h"
#include "support/device_tensor.h"
#include "support/device_test.h"
#include "support/finite_difference.h"
#include "support/relative_error.h"
#include "support/test_random.h"

namespace cola {
namespace {

TEST(EmbeddingReference, AgreesWithHandValues) {
  const std::vector<double> table{1, 2, 3, 4, 5, 6};  // three vectors of two
  const std::vector<std::int32_t> ids{2, 0, 2};
  EXPECT_EQ(reference::embedding_forward(2, ids, table), (std::vector<double>{5, 6, 1, 2, 5, 6}));
  std::vector<double> d_table{1, 1, 1, 1, 1, 1};
  reference::embedding_backward(2, ids, std::vector<double>{1, 2, 10, 20, 100, 200}, d_table);
  EXPECT_EQ(d_table, (std::vector<double>{11, 21, 1, 1, 102, 203}));
}

TEST(EmbeddingReference, GradientAgreesWithFiniteDifferences) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const auto table = random.normal(4 * 3), d_out = random.normal(6 * 3);
  const std::vector<std::int32_t> ids{0, 3, 3, 1, 0, 3};
  std::vector<double> gradient(table.size());
  reference::embedding_backward(3, ids, d_out, gradient);
  const auto loss = [&](const std::vector<double>& x) {
    return inner_product(reference::embedding_forward(3, ids, x), d_out);
  };
  EXPECT_TRUE(is_close(gradient, finite_difference_gradient(loss, table), 1e-8));
}

struct Shape {
  std::int64_t n, vocabulary, d;
};

// The first and the last id always occur.
std::vector<std::int32_t> ids_for(TestRandom& random, const Shape& shape) {
  auto ids = random.integers(shape.n, 0, static_cast<std::int32_t>(shape.vocabulary - 1));
  ids.front() = 0;
  ids.back() = static_cast<std::int32_t>(shape.vocabulary - 1);
  return ids;
}

class EmbeddingKernel : public DeviceTest {};

TEST_P(EmbeddingKernel, AgreesWithReference) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const DataType type : {DataType::float32, DataType::bfloat16})
    for (const Shape& shape : {Shape{1, 1, 1}, Shape{1, 50, 24}, Shape{7, 50, 40}, Shape{7, 7, 258},
                               Shape{33, 258, 72}, Shape{100, 64, 1376}}) {
      const auto [n, vocabulary, d] = shape;
      SCOPED_TRACE(fmt::format("n {} vocabulary {} d {} {}", n, vocabulary, d, name_of(type)));
      const auto ids = ids_for(random, shape);
      const auto table = rounded(type, random.normal(vocabulary * d));
      const DeviceTensor device_ids(device(), {n}, ids), device_table(device(), type, {vocabulary, d}, table);
      const DeviceTensor out(device(), type, {n, d});
      device().embedding().forward(device_ids, device_table, out);
      EXPECT_EQ(out.values(), reference::embedding_forward(d, ids, table));

      const auto d_out = rounded(type, random.normal(n * d));
      auto d_table = random.normal(vocabulary * d);
      const DeviceTensor device_d_out(device(), type, {n, d}, d_out);
      const DeviceTensor device_d_table(device(), DataType::float32, {vocabulary, d}, d_table);
      device().embedding().backward(device_ids, device_d_out, device_d_table);
      reference::embedding_backward(d, ids, d_out, d_table);
      EXPECT_TRUE(is_close(device_d_table.values(), d_table, 1e-5));
    }
}

// More tokens than a GPU sorts at a time, half of them the same, as padding is.
TEST_P(EmbeddingKernel, GradientOfManyTokens) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const std::int64_t n = 20011, vocabulary = 5000, d = 24;
  auto ids = random.integers(n, 0, vocabulary - 1);
  for (std::size_t i = 1; i < ids.size(); i += 2) ids[i] = 17;
  const auto d_out = random.normal(n * d);
  auto expected = random.normal(vocabulary * d);
  const DeviceTensor device_ids(device(), {n}, ids), device_d_out(device(), DataType::float32, {n, d}, d_out);
  const DeviceTensor d_table(device(), DataType::float32, {vocabulary, d}, expected);
  device().embedding().backward(device_ids, device_d_out, d_table);
  reference::embedding_backward(d, ids, d_out, expected);
  EXPECT_TRUE(is_close(d_table.values(), expected, 1e-5));
}

TEST_P(EmbeddingKernel, GradientIsRepeatableWhereIdsRepeat) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const std::int64_t n = 2000, vocabulary = 3, d = 40;
  const DeviceTensor ids(device(), {n}, random.integers(n, 0, 2));
  const DeviceTensor d_out(device(), DataType::float32, {n, d}, random.normal(n * d));
  const DeviceTensor first(device(), DataType::float32, {vocabulary, d}, std::vector<double>(vocabulary * d));
  const DeviceTensor second(device(), DataType::float32, {vocabulary, d},
                            std::vector<double>(vocabulary * d));
  device().embedding().backward(ids, d_out, first);
  device().embedding().backward(ids, d_out, second);
  EXPECT_EQ(first.values(), second.values());
}

INSTANTIATE_TEST_SUITE_P(Devices, EmbeddingKernel, every_device(), device_label);

}  // namespace
}  // namespace cola
