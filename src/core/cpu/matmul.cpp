#include "core/cpu/kernels.h"
#include "core/error.h"

namespace cola::cpu {

void CpuMatmul::multiply(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                         const Tensor& c, Accumulate accumulate) const {
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
  const bool fits = a.rank() == c.rank() && b.rank() == c.rank() && a.type() == b.type() &&
                    a.elements() == batch * shape.m * shape.k && b.elements() == batch * shape.k * shape.n &&
                    a.dim(transpose_a == Transpose::no ? -2 : -1) == shape.m &&
                    b.dim(transpose_b == Transpose::no ? -1 : -2) == shape.n;
  if (!fits)
    throw Error("{}{} times {}{} does not give {}", a.describe(), transpose_a == Transpose::yes ? "^T" : "",
                b.describe(), transpose_b == Transpose::yes ? "^T" : "", c.describe());
  // oneDNN's batched product is slower than its plain one in turn: the matrices are large enough to fill the
  // cores.
  const std::size_t a_bytes = a.bytes() / static_cast<std::size_t>(batch),
                    b_bytes = b.bytes() / static_cast<std::size_t>(batch);
  const std::size_t c_bytes = c.bytes() / static_cast<std::size_t>(batch);
  for (std::size_t i = 0; i < static_cast<std::size_t>(batch); ++i)
    products_.multiply(shape, static_cast<const std::byte*>(a.data()) + i * a_bytes,
                       static_cast<const std::byte*>(b.data()) + i * b_bytes,
                       static_cast<std::byte*>(c.data()) + i * c_bytes);
}

}  // namespace cola::cpu
