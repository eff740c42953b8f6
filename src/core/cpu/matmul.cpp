#include "core/cpu/kernels.h"
#include "core/cpu/parallel.h"
#include "core/error.h"

namespace cola::cpu {

void CpuMatmul::multiply(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                         const Tensor& c, Accumulate accumulate) const {
  require(c.rank() == 2 || c.rank() == 3, "multiply: matrices have two dimensions, or three with a batch");
  require(a.rank() == c.rank() && b.rank() == c.rank(),
          "multiply: all three need the same number of dimensions");
  ProductShape shape;
  shape.m = c.dim(-2);
  shape.n = c.dim(-1);
  shape.k = a.dim(transpose_a == Transpose::no ? -1 : -2);
  shape.transpose_a = transpose_a;
  shape.transpose_b = transpose_b;
  shape.input = a.type();
  shape.output = c.type();
  shape.accumulate = accumulate;
  const std::int64_t batch = c.rank() == 3 ? c.dim(0) : 1;
  const bool fits = batch > 0 && a.type() == b.type() && a.elements() == batch * shape.m * shape.k &&
                    b.elements() == batch * shape.k * shape.n &&
                    a.dim(transpose_a == Transpose::no ? -2 : -1) == shape.m &&
                    b.dim(transpose_b == Transpose::no ? -1 : -2) == shape.n;
  if (!fits)
    throw Error("{}{} times {}{} does not give {}", a.describe(), transpose_a == Transpose::yes ? "^T" : "",
                b.describe(), transpose_b == Transpose::yes ? "^T" : "", c.describe());
  // oneDNN's batched product is slower than its plain one in turn: the matrices are large enough to fill the
  // cores.
  if (c.rank() == 2) return multiply_matrix(shape, a, b, c);
  for (std::int64_t i = 0; i < batch; ++i) multiply_matrix(shape, a[i], b[i], c[i]);
}

// Weight gradients sum over all rows of a micro-batch: oneDNN turns the left matrix first, and is up to 1.4
// times faster where a stretch of it fits the cache.
void CpuMatmul::multiply_matrix(const ProductShape& shape, const Tensor& a, const Tensor& b,
                                const Tensor& c) const {
  constexpr std::int64_t stretch = 512;
  const bool over_rows = shape.transpose_a == Transpose::yes && shape.transpose_b == Transpose::no;
  if (!over_rows || shape.k <= stretch || shape.output != DataType::float32) {
    products_.multiply(shape, a.data(), b.data(), c.data());
    return;
  }
  ProductShape part = shape;
  for (std::int64_t first = 0; first < shape.k; first += stretch) {
    const std::int64_t last = std::min(shape.k, first + stretch);
    part.k = last - first;
    products_.multiply(part, a.rows(first, last).data(), b.rows(first, last).data(), c.data());
    part.accumulate = Accumulate::yes;
  }
}

}  // namespace cola::cpu
