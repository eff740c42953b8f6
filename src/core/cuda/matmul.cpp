#include <bit>
#include <cstdint>

#include "core/cuda/check.h"
#include "core/cuda/kernels.h"
#include "core/kernels/matmul_shape.h"

namespace cola::cuda {

namespace {

// Allocations are aligned to 256 bytes, views of them to less.
int common_alignment(const Tensor& a, const Tensor& b, const Tensor& c) {
  std::uintptr_t bits = 256;
  for (const Tensor* tensor : {&a, &b, &c}) bits |= reinterpret_cast<std::uintptr_t>(tensor->data());
  return 1 << std::countr_zero(bits);
}

}  // namespace

CudaMatmul::CudaMatmul(const Context& context, double smallest_timed)
    : OnContext(context), plans_(context, smallest_timed) {}
CudaMatmul::~CudaMatmul() = default;

void CudaMatmul::multiply(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                          const Tensor& c, Accumulate accumulate) const {
  const MatmulShape shape = matmul_shape(a, transpose_a, b, transpose_b, c);
  if (c.elements() == 0) return;
  if (shape.k == 0) {  // sums of nothing, for which cuBLAS has no kernel
    if (accumulate == Accumulate::no)
      check(cudaMemsetAsync(c.data(), 0, c.bytes(), context_.stream), "a matrix product");
    return;
  }
  plans_.multiply({.batch = shape.batch,
                   .m = shape.m,
                   .n = shape.n,
                   .k = shape.k,
                   .transpose_a = transpose_a == Transpose::yes,
                   .transpose_b = transpose_b == Transpose::yes,
                   .input = a.type(),
                   .output = c.type(),
                   .accumulate = accumulate == Accumulate::yes,
                   .alignment = common_alignment(a, b, c)},
                  a.data(), b.data(), c.data());
}

}  // namespace cola::cuda
