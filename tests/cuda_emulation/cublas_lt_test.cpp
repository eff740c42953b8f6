// The emulated cuBLASLt against plain loops over column-major and row-major matrices, and what it refuses.
#include <cublasLt.h>
#include <gtest/gtest.h>

#include "device_array.h"
#include "support/test_random.h"

namespace cola::emulation {
namespace {

// A matrix as cuBLASLt sees it.
struct Matrix {
  std::uint64_t rows, columns;
  std::int64_t ld;
  int order = CUBLASLT_ORDER_COL;
  std::int32_t batch = 1;
  std::int64_t stride = 0;

  std::size_t index(int b, std::uint64_t row, std::uint64_t column) const {
    const auto step = static_cast<std::uint64_t>(ld);
    return static_cast<std::size_t>(b * stride) +
           (order == CUBLASLT_ORDER_COL ? column * step + row : row * step + column);
  }
  std::size_t extent() const { return index(batch - 1, rows - 1, columns - 1) + 1; }
};

struct Case {
  Matrix a, b, d;
  bool transpose_a = false, transpose_b = false;
  float alpha = 1, beta = 0;
};

class EmulatedCublasLt : public ::testing::Test {
 protected:
  void SetUp() override {
    cublasLtMatmulDescCreate(&descriptor_, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    cublasLtMatmulPreferenceCreate(&preference_);
  }
  void TearDown() override {
    cublasLtMatmulDescDestroy(descriptor_);
    cublasLtMatmulPreferenceDestroy(preference_);
    for (cublasLtMatrixLayout_t layout : layouts_) cublasLtMatrixLayoutDestroy(layout);
  }

  cublasLtMatrixLayout_t layout(const Matrix& matrix, cudaDataType type = CUDA_R_32F) {
    cublasLtMatrixLayout_t made = nullptr;
    cublasLtMatrixLayoutCreate(&made, type, matrix.rows, matrix.columns, matrix.ld);
    cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_ORDER, &matrix.order, sizeof(matrix.order));
    cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &matrix.batch,
                                     sizeof(matrix.batch));
    cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &matrix.stride,
                                     sizeof(matrix.stride));
    layouts_.push_back(made);
    return made;
  }
  void set_transposes(bool a, bool b) {
    for (const auto& [attribute, transpose] :
         {std::pair{CUBLASLT_MATMUL_DESC_TRANSA, a}, {CUBLASLT_MATMUL_DESC_TRANSB, b}}) {
      const std::int32_t operation = transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
      EXPECT_EQ(cublasLtMatmulDescSetAttribute(descriptor_, attribute, &operation, sizeof(operation)),
                CUBLAS_STATUS_SUCCESS);
    }
  }
  cublasStatus_t choose(const Case& c, cudaDataType input = CUDA_R_32F, cudaDataType output = CUDA_R_32F) {
    set_transposes(c.transpose_a, c.transpose_b);
    int found = 0;
    const auto d = layout(c.d, output);
    return cublasLtMatmulAlgoGetHeuristic(nullptr, descriptor_, layout(c.a, input), layout(c.b, input), d, d,
                                          preference_, 1, &choice_, &found);
  }
  void expect_product(const Case& c);

  cublasLtMatmulDesc_t descriptor_ = nullptr;
  cublasLtMatmulPreference_t preference_ = nullptr;
  std::vector<cublasLtMatrixLayout_t> layouts_;
  cublasLtMatmulHeuristicResult_t choice_{};
  TestRandom random_;
};

std::vector<float> floats(const std::vector<int>& values) {
  return {values.begin(), values.end()};
}

// Small whole numbers: every order of summing gives the same.
void EmulatedCublasLt::expect_product(const Case& c) {
  SCOPED_TRACE(random_.describe());
  const auto numbers = [&](const Matrix& matrix) {
    return floats(random_.integers(static_cast<std::int64_t>(matrix.extent()), -9, 9));
  };
  const auto a = numbers(c.a), b = numbers(c.b), before = numbers(c.d);
  const DeviceArray<float> device_a(a), device_b(b), device_d(before);
  ASSERT_EQ(choose(c), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cublasLtMatmul(nullptr, descriptor_, &c.alpha, device_a.data(), layout(c.a), device_b.data(),
                           layout(c.b), &c.beta, device_d.data(), layout(c.d), device_d.data(), layout(c.d),
                           &choice_.algo, nullptr, 0, nullptr),
            CUBLAS_STATUS_SUCCESS);
  const auto d = device_d.values();
  const std::uint64_t k = c.transpose_a ? c.a.rows : c.a.columns;
  auto expected = before;
  for (int batch = 0; batch < c.d.batch; ++batch)
    for (std::uint64_t row = 0; row < c.d.rows; ++row)
      for (std::uint64_t column = 0; column < c.d.columns; ++column) {
        float sum = 0;
        for (std::uint64_t i = 0; i < k; ++i)
          sum += a[c.transpose_a ? c.a.index(batch, i, row) : c.a.index(batch, row, i)] *
                 b[c.transpose_b ? c.b.index(batch, column, i) : c.b.index(batch, i, column)];
        float& place = expected[c.d.index(batch, row, column)];
        place = c.alpha * sum + c.beta * place;
      }
  EXPECT_EQ(d, expected);
}

TEST_F(EmulatedCublasLt, MultipliesColumnMajorMatricesTransposedOrNot) {
  // D [3, 4] = op(A) op(B) over 5, all with room between columns.
  const Matrix d{3, 4, 6};
  expect_product({{3, 5, 4}, {5, 4, 7}, d});
  expect_product({{5, 3, 8}, {5, 4, 7}, d, true, false});
  expect_product({{3, 5, 4}, {4, 5, 5}, d, false, true});
  expect_product({{5, 3, 8}, {4, 5, 5}, d, true, true, 2, 3});
}

TEST_F(EmulatedCublasLt, MultipliesRowMajorMatrices) {
  const auto row = [](std::uint64_t rows, std::uint64_t columns, std::int64_t ld) {
    return Matrix{rows, columns, ld, CUBLASLT_ORDER_ROW};
  };
  expect_product({row(3, 5, 6), row(5, 4, 4), row(3, 4, 7)});
  expect_product({row(3, 5, 6), row(4, 5, 9), row(3, 4, 7), false, true, 1, 1});
}

TEST_F(EmulatedCublasLt, MultipliesBatches) {
  expect_product({{3, 5, 3, CUBLASLT_ORDER_COL, 3, 20},
                  {5, 4, 5, CUBLASLT_ORDER_COL, 3, 0},
                  {3, 4, 3, CUBLASLT_ORDER_COL, 3, 13}});
}

TEST_F(EmulatedCublasLt, RefusesWhatDoesNotFit) {
  const Case good{{3, 5, 4}, {5, 4, 7}, {3, 4, 6}};
  EXPECT_EQ(choose(good), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(choose(good, CUDA_R_16BF, CUDA_R_32F), CUBLAS_STATUS_SUCCESS);
  EXPECT_NE(choose(good, CUDA_R_32F, CUDA_R_16BF), CUBLAS_STATUS_SUCCESS);
  EXPECT_NE(choose(good, CUDA_R_64F, CUDA_R_64F), CUBLAS_STATUS_SUCCESS);
  Case wrong = good;
  wrong.a.ld = 2;  // less than its rows
  EXPECT_NE(choose(wrong), CUBLAS_STATUS_SUCCESS);
  wrong = good;
  wrong.transpose_b = true;
  EXPECT_NE(choose(wrong), CUBLAS_STATUS_SUCCESS);
  wrong = good;
  wrong.b.batch = 2;
  EXPECT_NE(choose(wrong), CUBLAS_STATUS_SUCCESS);
  const std::uint32_t transpose = CUBLAS_OP_N;
  EXPECT_NE(cublasLtMatmulDescSetAttribute(descriptor_, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, 8),
            CUBLAS_STATUS_SUCCESS);
}

TEST_F(EmulatedCublasLt, RefusesMemoryThatTheChoiceWasNotMadeFor) {
  const Case c{{4, 4, 4}, {4, 4, 4}, {4, 4, 4}};
  const DeviceArray<float> memory(std::vector<float>(1024, 0.0f)), workspace(1 << 16);
  const std::uint64_t bytes = std::uint64_t{1} << 18;
  const auto multiply = [&](const float* a, void* scratch, std::size_t scratch_bytes) {
    return cublasLtMatmul(nullptr, descriptor_, &c.alpha, a, layout(c.a), memory.data(), layout(c.b), &c.beta,
                          memory.data() + 64, layout(c.d), memory.data() + 64, layout(c.d), &choice_.algo,
                          scratch, scratch_bytes, nullptr);
  };
  cublasLtMatmulPreferenceSetAttribute(preference_, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                       sizeof(bytes));
  ASSERT_EQ(choose(c), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(multiply(memory.data(), workspace.data(), bytes), CUBLAS_STATUS_SUCCESS);
  EXPECT_NE(multiply(memory.data() + 4, workspace.data(), bytes),
            CUBLAS_STATUS_SUCCESS);  // 16 bytes, not 256
  EXPECT_NE(multiply(memory.data() + 1024, workspace.data(), bytes),
            CUBLAS_STATUS_SUCCESS);  // beyond the end
  EXPECT_NE(multiply(memory.data(), workspace.data() + 1, bytes - 4), CUBLAS_STATUS_SUCCESS);  // misaligned
  EXPECT_NE(multiply(memory.data(), workspace.data(), 16), CUBLAS_STATUS_SUCCESS);             // too small
  const std::uint32_t alignment = 16;
  cublasLtMatmulPreferenceSetAttribute(preference_, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &alignment,
                                       sizeof(alignment));
  ASSERT_EQ(choose(c), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(multiply(memory.data() + 4, workspace.data(), bytes), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

}  // namespace
}  // namespace cola::emulation
