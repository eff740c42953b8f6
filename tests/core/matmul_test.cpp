#include "core/kernels/matmul.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "reference/matmul.h"
#include "support/device_tensor.h"
#include "support/device_test.h"
#include "support/finite_difference.h"
#include "support/relative_error.h"
#include "support/test_random.h"

namespace cola {
namespace {

using reference::ProductShape;

TEST(MatmulReference, AgreesWithHandValues) {
  const std::vector<double> a{1, 2, 3, 4, 5, 6};     // [2, 3]
  const std::vector<double> b{7, 8, 9, 10, 11, 12};  // [3, 2]
  const std::vector<double> a_transposed{1, 4, 2, 5, 3, 6}, b_transposed{7, 9, 11, 8, 10, 12};
  const std::vector<double> expected{58, 64, 139, 154};
  const ProductShape shape{.m = 2, .n = 2, .k = 3};
  EXPECT_EQ(reference::multiply(shape, a, Transpose::no, b, Transpose::no), expected);
  EXPECT_EQ(reference::multiply(shape, a_transposed, Transpose::yes, b, Transpose::no), expected);
  EXPECT_EQ(reference::multiply(shape, a, Transpose::no, b_transposed, Transpose::yes), expected);
  EXPECT_EQ(reference::multiply(shape, a, Transpose::no, b, Transpose::no, std::vector<double>{1, 1, 1, 1}),
            (std::vector<double>{59, 65, 140, 155}));
}

TEST(MatmulReference, GradientAgreesWithFiniteDifferences) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const ProductShape shape{.batch = 2, .m = 3, .n = 4, .k = 5};
  const auto a = random.normal(2 * 3 * 5), b = random.normal(2 * 5 * 4), dc = random.normal(2 * 3 * 4);
  const auto da = reference::multiply({2, 3, 5, 4}, dc, Transpose::no, b, Transpose::yes);
  const auto db = reference::multiply({2, 5, 4, 3}, a, Transpose::yes, dc, Transpose::no);
  const auto loss_of_a = [&](const std::vector<double>& x) {
    return inner_product(reference::multiply(shape, x, Transpose::no, b, Transpose::no), dc);
  };
  const auto loss_of_b = [&](const std::vector<double>& x) {
    return inner_product(reference::multiply(shape, a, Transpose::no, x, Transpose::no), dc);
  };
  EXPECT_TRUE(is_close(da, finite_difference_gradient(loss_of_a, a), 1e-8));
  EXPECT_TRUE(is_close(db, finite_difference_gradient(loss_of_b, b), 1e-8));
}

// Shapes of op(a) and op(b) as they lie in memory.
DeviceTensor matrix(Device& device, DataType type, std::int64_t batch, std::int64_t rows,
                    std::int64_t columns, Transpose transpose, const std::vector<double>& values) {
  if (transpose == Transpose::yes) std::swap(rows, columns);
  if (batch == 0) return DeviceTensor(device, type, {rows, columns}, values);
  return DeviceTensor(device, type, {batch, rows, columns}, values);
}

struct Product {
  ProductShape shape;
  bool batched = false;
  DataType type = DataType::float32, result_type = DataType::float32;
  Transpose transpose_a = Transpose::no, transpose_b = Transpose::no;
  Accumulate accumulate = Accumulate::no;

  std::string describe() const {
    return fmt::format("batch {} m {} n {} k {}, {} to {}, transposed {} {}, accumulated {}",
                       batched ? shape.batch : 0, shape.m, shape.n, shape.k, name_of(type),
                       name_of(result_type), transpose_a == Transpose::yes, transpose_b == Transpose::yes,
                       accumulate == Accumulate::yes);
  }
};

void check_product(Device& device, TestRandom& random, const Product& product) {
  SCOPED_TRACE(product.describe());
  const auto [batch, m, n, k] = product.shape;
  const auto a = rounded(product.type, random.normal(batch * m * k));
  const auto b = rounded(product.type, random.normal(batch * k * n));
  const auto c = rounded(product.result_type, random.normal(batch * m * n));
  const std::int64_t leading = product.batched ? batch : 0;
  const auto device_a = matrix(device, product.type, leading, m, k, product.transpose_a, a);
  const auto device_b = matrix(device, product.type, leading, k, n, product.transpose_b, b);
  const std::vector<double> poison(c.size(), std::numeric_limits<double>::quiet_NaN());
  const bool accumulates = product.accumulate == Accumulate::yes;
  const auto device_c =
      matrix(device, product.result_type, leading, m, n, Transpose::no, accumulates ? c : poison);
  device.matmul().multiply(device_a, product.transpose_a, device_b, product.transpose_b, device_c,
                           product.accumulate);
  const auto expected = reference::multiply(product.shape, a, product.transpose_a, b, product.transpose_b,
                                            accumulates ? c : std::vector<double>{});
  EXPECT_TRUE(is_close(device_c.values(), expected, tolerance_of(product.result_type)));
}

// Every combination of types, transposition and accumulation.
void check_products(Device& device, TestRandom& random, const ProductShape& shape, bool batched) {
  for (const auto& [type, result_type] :
       {std::pair{DataType::float32, DataType::float32}, std::pair{DataType::bfloat16, DataType::bfloat16},
        std::pair{DataType::bfloat16, DataType::float32}})
    for (const Transpose transpose_a : {Transpose::no, Transpose::yes})
      for (const Transpose transpose_b : {Transpose::no, Transpose::yes})
        for (const Accumulate accumulate : {Accumulate::no, Accumulate::yes})
          check_product(device, random,
                        {shape, batched, type, result_type, transpose_a, transpose_b, accumulate});
}

class MatmulKernel : public DeviceTest {};

TEST_P(MatmulKernel, AgreesWithReference) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const std::vector<ProductShape> shapes{{1, 1, 8, 1},     {1, 8, 1, 3},     {1, 1, 24, 40},
                                         {1, 7, 7, 7},     {1, 7, 72, 1376}, {1, 7, 1376, 72},
                                         {1, 33, 258, 24}, {1, 64, 40, 258}, {1, 130, 64, 64}};
  for (const ProductShape& shape : shapes) check_products(device(), random, shape, false);
}

TEST_P(MatmulKernel, MultipliesBatches) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const ProductShape& shape : {ProductShape{1, 7, 24, 40}, ProductShape{2, 1, 72, 8},
                                    ProductShape{3, 33, 40, 24}, ProductShape{3, 7, 258, 12}})
    check_products(device(), random, shape, true);
}

// Rounded once, after the sum.
TEST_P(MatmulKernel, AddsToAProduct) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const auto& [shape, batched] : {std::pair{ProductShape{1, 7, 72, 40}, false},
                                       {ProductShape{1, 130, 64, 64}, false},
                                       {ProductShape{1, 5, 12, 20}, false},
                                       {ProductShape{1, 33, 64, 512}, false},
                                       {ProductShape{1, 33, 64, 520}, false},
                                       {ProductShape{1, 1, 8, 0}, false},
                                       {ProductShape{3, 33, 40, 24}, true}})
    for (const auto& [type, result_type] :
         {std::pair{DataType::float32, DataType::float32}, std::pair{DataType::bfloat16, DataType::bfloat16},
          std::pair{DataType::bfloat16, DataType::float32}}) {
      const auto [batch, m, n, k] = shape;
      SCOPED_TRACE((Product{shape, batched, type, result_type}.describe()));
      const std::int64_t leading = batched ? batch : 0;
      const auto a = rounded(type, random.normal(batch * m * k));
      const auto b = rounded(type, random.normal(batch * k * n));
      const auto added = rounded(result_type, random.normal(batch * m * n));
      const auto expected = reference::multiply(shape, a, Transpose::no, b, Transpose::yes, added);
      const auto device_a = matrix(device(), type, leading, m, k, Transpose::no, a);
      const auto device_b = matrix(device(), type, leading, k, n, Transpose::yes, b);
      const auto addend = matrix(device(), result_type, leading, m, n, Transpose::no, added);
      const std::vector<double> poison(added.size(), std::numeric_limits<double>::quiet_NaN());
      const auto sum = matrix(device(), result_type, leading, m, n, Transpose::no, poison);
      device().matmul().multiply_add(device_a, Transpose::no, device_b, Transpose::yes, addend, sum);
      const std::vector<double> result = sum.values();
      EXPECT_TRUE(is_close(result, expected, tolerance_of(result_type)));
      EXPECT_EQ(addend.values(), added);
      if (result_type != DataType::bfloat16) continue;
      // One in four would be another number if the product were rounded first.
      const auto once = rounded(result_type, expected);
      const std::int64_t differing = std::inner_product(
          once.begin(), once.end(), result.begin(), std::int64_t{0}, std::plus<>(), std::not_equal_to<>());
      EXPECT_LE(differing, 1 + batch * m * n / 100);
    }
}

TEST_P(MatmulKernel, IsRepeatable) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const DataType type : {DataType::float32, DataType::bfloat16}) {
    SCOPED_TRACE(name_of(type));
    // Few outputs and a long sum: a kernel that splits the sum must still add in a fixed order.
    const DeviceTensor a(device(), type, {24, 4099}, random.normal(24 * 4099));
    const DeviceTensor b(device(), type, {40, 4099}, random.normal(40 * 4099));
    const DeviceTensor first(device(), DataType::float32, {24, 40}),
        second(device(), DataType::float32, {24, 40});
    device().matmul().multiply(a, Transpose::no, b, Transpose::yes, first, Accumulate::no);
    device().matmul().multiply(a, Transpose::no, b, Transpose::yes, second, Accumulate::no);
    EXPECT_EQ(first.values(), second.values());
  }
}

// What a GPU takes the quickest of must not show in the result, to the bit, nor in what was there before.
TEST_P(MatmulKernel, TimingChangesNoResult) {
  if (GetParam() != DeviceKind::cuda) GTEST_SKIP() << "products are timed on GPUs alone";
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const auto timed = make_cuda_device(0, {.smallest_timed_product = 0}),
             untimed = make_cuda_device(0, {.smallest_timed_product = 1e18});
  struct Case {
    ProductShape shape;
    Transpose transpose_a, transpose_b;
    DataType result_type;
    Accumulate accumulate;
  };
  const auto yes = Transpose::yes, no = Transpose::no;
  for (const auto& [shape, transpose_a, transpose_b, result_type, accumulate] :
       {Case{{1, 512, 136, 72}, no, yes, DataType::bfloat16, Accumulate::no},
        Case{{3, 264, 72, 136}, no, yes, DataType::bfloat16, Accumulate::no},
        Case{{1, 128, 64, 1032}, yes, no, DataType::float32, Accumulate::yes},
        Case{{2, 264, 64, 520}, yes, no, DataType::float32, Accumulate::yes}}) {
    const auto [batch, m, n, k] = shape;
    SCOPED_TRACE(fmt::format("batch {} m {} n {} k {}", batch, m, n, k));
    const auto a = random.normal(batch * m * k), b = random.normal(batch * k * n);
    const auto c = random.normal(batch * m * n);
    std::vector<std::vector<double>> results;
    for (Device* device : {timed.get(), untimed.get()}) {
      const auto device_a = matrix(*device, DataType::bfloat16, batch, m, k, transpose_a, a);
      const auto device_b = matrix(*device, DataType::bfloat16, batch, k, n, transpose_b, b);
      const auto device_c = matrix(*device, result_type, batch, m, n, no, c);
      device->matmul().multiply(device_a, transpose_a, device_b, transpose_b, device_c, accumulate);
      results.push_back(device_c.values());
    }
    EXPECT_EQ(results[0], results[1]);
  }
}

// Parts of larger tensors begin at any element: kernels that read many at a time must know.
TEST_P(MatmulKernel, TakesPartsOfTensors) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  constexpr std::int64_t m = 16, n = 24, k = 32, room = 8;
  for (const DataType type : {DataType::float32, DataType::bfloat16})
    for (const std::int64_t offset : {1, 4, 8}) {
      SCOPED_TRACE(fmt::format("{} from element {}", name_of(type), offset));
      const auto a = rounded(type, random.normal(room + m * k)),
                 b = rounded(type, random.normal(room + k * n));
      const DeviceTensor device_a(device(), type, {room + m * k}, a),
          device_b(device(), type, {room + k * n}, b);
      const DeviceTensor c(device(), type, {room + m * n}, std::vector<double>(room + m * n, 7));
      device().matmul().multiply(device_a.tensor().view(offset, {m, k}), Transpose::no,
                                 device_b.tensor().view(offset, {k, n}), Transpose::no,
                                 c.tensor().view(offset, {m, n}), Accumulate::no);
      const std::vector<double> part_a(a.begin() + offset, a.end() - room + offset);
      const std::vector<double> part_b(b.begin() + offset, b.end() - room + offset);
      auto expected =
          reference::multiply({.m = m, .n = n, .k = k}, part_a, Transpose::no, part_b, Transpose::no);
      expected.insert(expected.begin(), offset, 7);
      expected.insert(expected.end(), room - offset, 7);
      EXPECT_TRUE(is_close(c.values(), expected, tolerance_of(type)));
    }
}

TEST_P(MatmulKernel, AddsUpNothing) {
  for (const DataType type : {DataType::float32, DataType::bfloat16}) {
    SCOPED_TRACE(name_of(type));
    const DeviceTensor a(device(), type, {8, 0}), b(device(), type, {0, 24});
    const DeviceTensor c(device(), DataType::float32, {8, 24}, std::vector<double>(8 * 24, 7));
    device().matmul().multiply(a, Transpose::no, b, Transpose::no, c, Accumulate::yes);
    EXPECT_EQ(c.values(), std::vector<double>(8 * 24, 7));
    device().matmul().multiply(a, Transpose::no, b, Transpose::no, c, Accumulate::no);
    EXPECT_EQ(c.values(), std::vector<double>(8 * 24, 0));
  }
}

TEST_P(MatmulKernel, RefusesWhatDoesNotFit) {
  const DataType type = DataType::float32;
  const DeviceTensor a(device(), type, {8, 16}), b(device(), type, {16, 24}), c(device(), type, {8, 24});
  const DeviceTensor half_b(device(), DataType::bfloat16, {16, 24}), batched(device(), type, {2, 16, 24});
  const auto multiply = [&](const Tensor& left, Transpose transpose_left, const Tensor& right,
                            const Tensor& result) {
    device().matmul().multiply(left, transpose_left, right, Transpose::no, result, Accumulate::no);
  };
  EXPECT_NO_THROW(multiply(a, Transpose::no, b, c));
  EXPECT_THROW(multiply(a, Transpose::yes, b, c), Error);
  EXPECT_THROW(multiply(b, Transpose::no, a, c), Error);
  EXPECT_THROW(multiply(a, Transpose::no, b, a), Error);
  EXPECT_THROW(multiply(a, Transpose::no, half_b, c), Error);
  EXPECT_THROW(multiply(a, Transpose::no, batched, c), Error);
  const auto multiply_add = [&](const Tensor& addend) {
    device().matmul().multiply_add(a, Transpose::no, b, Transpose::no, addend, c);
  };
  EXPECT_NO_THROW(multiply_add(DeviceTensor(device(), type, {8, 24})));
  EXPECT_THROW(multiply_add(c), Error);
  EXPECT_THROW(multiply_add(c.tensor().rows(0, 4)), Error);
  EXPECT_THROW(multiply_add(c.tensor().reshape({24, 8})), Error);
  EXPECT_THROW(multiply_add(DeviceTensor(device(), DataType::bfloat16, {8, 24})), Error);
}

INSTANTIATE_TEST_SUITE_P(Devices, MatmulKernel, every_device(), device_label);

}  // namespace
}  // namespace cola
