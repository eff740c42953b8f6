// The sizes of a matrix product, checked: the same on every device.
#pragma once

#include <cstdint>

#include "core/error.h"
#include "core/kernels/matmul.h"
#include "core/tensor.h"

namespace cola {

/// After op: a [m, k], b [k, n], c [m, n], `batch` times.
struct MatmulShape {
  std::int64_t batch = 1, m = 0, n = 0, k = 0;
};

/// The sizes of c = op(a) op(b). Throws Error naming all three if they do not fit (see MatmulKernels).
inline MatmulShape matmul_shape(const Tensor& a, Transpose transpose_a, const Tensor& b,
                                Transpose transpose_b, const Tensor& c) {
  const bool matrices = (c.rank() == 2 || c.rank() == 3) && a.rank() == c.rank() && b.rank() == c.rank();
  if (!matrices)
    throw Error("{} times {} to {}: a product needs three matrices, or three batches of matrices",
                a.describe(), b.describe(), c.describe());
  const bool turn_a = transpose_a == Transpose::yes, turn_b = transpose_b == Transpose::yes;
  const MatmulShape shape{
      .batch = c.rank() == 3 ? c.dim(0) : 1, .m = c.dim(-2), .n = c.dim(-1), .k = a.dim(turn_a ? -2 : -1)};
  const bool types_fit = a.type() == b.type() && a.type() != DataType::int32 &&
                         (c.type() == a.type() || c.type() == DataType::float32);
  const bool sizes_fit = shape.batch > 0 && a.elements() == shape.batch * shape.m * shape.k &&
                         b.elements() == shape.batch * shape.k * shape.n &&
                         a.dim(turn_a ? -1 : -2) == shape.m && b.dim(turn_b ? -2 : -1) == shape.n;
  if (!types_fit || !sizes_fit)
    throw Error("{}{} times {}{} does not give {}", a.describe(), turn_a ? "^T" : "", b.describe(),
                turn_b ? "^T" : "", c.describe());
  return shape;
}

/// Throws Error naming both unless `addend` can be added to the product c: alike, and not one, if not empty.
inline void require_addend(const Tensor& addend, const Tensor& c) {
  bool fits = addend.type() == c.type() && addend.rank() == c.rank() &&
              (addend.data() != c.data() || c.elements() == 0);
  for (int i = 0; fits && i < c.rank(); ++i) fits = addend.dim(i) == c.dim(i);
  if (!fits) throw Error("{} cannot be added to the product {}", addend.describe(), c.describe());
}

}  // namespace cola
