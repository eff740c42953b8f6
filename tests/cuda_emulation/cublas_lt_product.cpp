#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "cublas_lt_descriptors.h"

namespace cola::emulation {

namespace {

// A product of more multiplications than this, as programs make to measure a GPU, leaves its result as it is.
constexpr std::uint64_t most_multiplications = std::uint64_t{1} << 32;

float read(const MatrixLayout& layout, const void* data, std::uint64_t index) {
  if (layout.type == CUDA_R_32F) return static_cast<const float*>(data)[index];
  std::uint32_t bits = std::uint32_t{static_cast<const std::uint16_t*>(data)[index]} << 16;
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Rounds to nearest, ties to even.
std::uint16_t bfloat16_bits(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  if (value != value) return 0x7fff;
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void write(const MatrixLayout& layout, void* data, std::uint64_t index, float value) {
  if (layout.type == CUDA_R_32F)
    static_cast<float*>(data)[index] = value;
  else
    static_cast<std::uint16_t*>(data)[index] = bfloat16_bits(value);
}

// op(matrix) as [rows][columns], rows and columns those of the transposed matrix where it is.
std::vector<float> gather(const MatrixLayout& layout, const void* data, std::uint64_t batch,
                          bool transposed) {
  std::vector<float> values;
  values.reserve(layout.rows * layout.columns);
  const std::uint64_t rows = transposed ? layout.columns : layout.rows;
  const std::uint64_t columns = transposed ? layout.rows : layout.columns;
  for (std::uint64_t row = 0; row < rows; ++row)
    for (std::uint64_t column = 0; column < columns; ++column)
      values.push_back(read(
          layout, data, transposed ? layout.index(batch, column, row) : layout.index(batch, row, column)));
  return values;
}

std::string problem_of(const char* name, const MatrixLayout& layout) {
  const bool by_column = layout.order == CUBLASLT_ORDER_COL;
  if (!by_column && layout.order != CUBLASLT_ORDER_ROW)
    return fmt::format("{}: order {} is not emulated", name, layout.order);
  if (layout.type != CUDA_R_32F && layout.type != CUDA_R_16BF)
    return fmt::format("{}: type {} is not emulated", name, static_cast<int>(layout.type));
  const std::uint64_t run = by_column ? layout.rows : layout.columns;
  if (layout.rows == 0 || layout.columns == 0 || layout.batch_count < 1)
    return fmt::format("{}: {} x {}, {} times", name, layout.rows, layout.columns, layout.batch_count);
  if (layout.leading_dimension < static_cast<std::int64_t>(run))
    return fmt::format("{}: leading dimension {} for {} elements", name, layout.leading_dimension, run);
  return {};
}

}  // namespace

std::uint64_t MatrixLayout::index(std::uint64_t batch, std::uint64_t row, std::uint64_t column) const {
  const auto ld = static_cast<std::uint64_t>(leading_dimension);
  return batch * static_cast<std::uint64_t>(batch_stride) +
         (order == CUBLASLT_ORDER_COL ? column * ld + row : row * ld + column);
}

std::uint64_t MatrixLayout::extent() const {
  return index(static_cast<std::uint64_t>(batch_count - 1), rows - 1, columns - 1) + 1;
}

std::string Product::problem() const {
  const MatrixLayout* layouts[] = {&a, &b, &c, &d};
  const char* names[] = {"A", "B", "C", "D"};
  for (int i = 0; i < 4; ++i)
    if (std::string found = problem_of(names[i], *layouts[i]); !found.empty()) return found;
  const bool ta = descriptor.transpose_a != CUBLAS_OP_N, tb = descriptor.transpose_b != CUBLAS_OP_N;
  const std::uint64_t m = ta ? a.columns : a.rows, k = ta ? a.rows : a.columns;
  const std::uint64_t k_of_b = tb ? b.columns : b.rows, n = tb ? b.rows : b.columns;
  if (k != k_of_b || d.rows != m || d.columns != n)
    return fmt::format("op(A) {} x {}, op(B) {} x {}, D {} x {}", m, k, k_of_b, n, d.rows, d.columns);
  if (c.rows != d.rows || c.columns != d.columns || c.type != d.type || c.order != d.order)
    return "C is not like D";
  for (const MatrixLayout* layout : layouts)
    if (layout->batch_count != d.batch_count) return "batch counts differ";
  if (d.batch_count > 1 && d.batch_stride == 0) return "D's matrices lie on one another";
  if (a.type != b.type || (a.type == CUDA_R_32F && d.type != CUDA_R_32F)) return "types do not go together";
  const auto compute = descriptor.compute_type;
  const bool single = compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC;
  const bool fast = compute == CUBLAS_COMPUTE_32F_FAST_TF32 || compute == CUBLAS_COMPUTE_32F_FAST_16BF;
  if (!single && !(fast && a.type == CUDA_R_32F)) return "the compute type does not go with the types";
  if (descriptor.scale_type != CUDA_R_32F) return "the scale type is not fp32";
  if (descriptor.pointer_mode != CUBLASLT_POINTER_MODE_HOST)
    return "only factors in host memory are emulated";
  if (descriptor.epilogue != CUBLASLT_EPILOGUE_DEFAULT) return "only the default epilogue is emulated";
  return {};
}

std::uint64_t Product::kind() const {
  const auto mix = [](std::uint64_t seed, std::uint64_t value) {
    return (seed ^ value) * 0x9e3779b97f4a7c15u + (seed >> 29);
  };
  std::uint64_t result = mix(1, static_cast<std::uint64_t>(descriptor.transpose_a) << 8 |
                                    static_cast<std::uint64_t>(descriptor.transpose_b));
  for (const MatrixLayout* layout : {&a, &b, &c, &d})
    for (const std::uint64_t value :
         {static_cast<std::uint64_t>(layout->type), layout->rows, layout->columns,
          static_cast<std::uint64_t>(layout->leading_dimension), static_cast<std::uint64_t>(layout->order),
          static_cast<std::uint64_t>(layout->batch_count)})
      result = mix(result, value);
  return result;
}

void Product::compute(float alpha, const void* a_data, const void* b_data, float beta, const void* c_data,
                      void* d_data) const {
  const std::uint64_t inner_size = descriptor.transpose_a != CUBLAS_OP_N ? a.rows : a.columns;
  if (d.rows * d.columns * inner_size > most_multiplications) return;
  for (std::uint64_t batch = 0; batch < static_cast<std::uint64_t>(d.batch_count); ++batch) {
    const auto left = gather(a, a_data, batch, descriptor.transpose_a != CUBLAS_OP_N);
    const auto right = gather(b, b_data, batch, descriptor.transpose_b != CUBLAS_OP_N);
    const std::uint64_t k = left.size() / d.rows;
    std::vector<float> sums(d.columns);
    for (std::uint64_t row = 0; row < d.rows; ++row) {
      std::fill(sums.begin(), sums.end(), 0.0f);
      for (std::uint64_t inner = 0; inner < k; ++inner)
        for (std::uint64_t column = 0; column < d.columns; ++column)
          sums[column] += left[row * k + inner] * right[inner * d.columns + column];
      for (std::uint64_t column = 0; column < d.columns; ++column) {
        // With beta 0 C is not read: it may hold NaN.
        const float before = beta == 0 ? 0 : beta * read(c, c_data, c.index(batch, row, column));
        write(d, d_data, d.index(batch, row, column), alpha * sums[column] + before);
      }
    }
  }
}

}  // namespace cola::emulation
