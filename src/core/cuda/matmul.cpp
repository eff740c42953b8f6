#include <bit>
#include <cstdint>
#include <initializer_list>

#include "core/cuda/check.h"
#include "core/cuda/hopper/hopper_products.h"
#include "core/cuda/kernels.h"
#include "core/cuda/row_alignment.h"
#include "core/kernels/matmul_shape.h"

namespace cola::cuda {

namespace {

// Allocations are aligned to 256 bytes, views of them to less.
int common_alignment(std::initializer_list<const void*> addresses) {
  std::uintptr_t bits = 256;
  for (const void* address : addresses) bits |= reinterpret_cast<std::uintptr_t>(address);
  return 1 << std::countr_zero(bits);
}

// Of a sum that takes longer to write, and its addend to read, than to compute (docs/performance.md).
constexpr std::int64_t most_terms = 512;

}  // namespace

CudaMatmul::CudaMatmul(const Context& context, double smallest_timed)
    : OnContext(context), plans_(context, smallest_timed) {}
CudaMatmul::~CudaMatmul() = default;

void CudaMatmul::multiply(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                          const Tensor& c, Accumulate accumulate) const {
  multiply(a, transpose_a, b, transpose_b, accumulate == Accumulate::yes ? c.data() : nullptr, c);
}

void CudaMatmul::multiply_add(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                              const Tensor& addend, const Tensor& c) const {
  require_addend(addend, c);
  const MatmulShape shape = matmul_shape(a, transpose_a, b, transpose_b, c);
  const bool rows_along_sums = transpose_a == Transpose::no && transpose_b == Transpose::yes;
  if (!rows_along_sums || !has_own_sum(shape, a, b, addend, c))
    return multiply(a, transpose_a, b, transpose_b, addend.data(), c);
  fused::added_product(context_, {.batch = shape.batch,
                                  .m = shape.m,
                                  .n = shape.n,
                                  .k = shape.k,
                                  .a = fused::inputs(a),
                                  .b = fused::inputs(b),
                                  .input = fused::inputs(addend),
                                  .output = fused::matrices(c)});
}

// Whether a kernel of this project's computes a b^T + addend.
bool CudaMatmul::has_own_sum(const MatmulShape& shape, const Tensor& a, const Tensor& b, const Tensor& addend,
                             const Tensor& c) const {
  return fused::available(context_) && c.type() == DataType::bfloat16 && c.elements() > 0 && shape.k > 0 &&
         shape.k <= most_terms && rows_are_aligned(shape.k, a.type(), a.data(), b.data()) &&
         rows_are_aligned(shape.n, c.type(), addend.data(), c.data());
}

void CudaMatmul::multiply(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                          const void* addend, const Tensor& c) const {
  const MatmulShape shape = matmul_shape(a, transpose_a, b, transpose_b, c);
  if (c.elements() == 0) return;
  if (shape.k == 0) return store_addend(addend, c);
  plans_.multiply({.batch = shape.batch,
                   .m = shape.m,
                   .n = shape.n,
                   .k = shape.k,
                   .transpose_a = transpose_a == Transpose::yes,
                   .transpose_b = transpose_b == Transpose::yes,
                   .input = a.type(),
                   .output = c.type(),
                   .adds = addend != nullptr,
                   .alignment = common_alignment({a.data(), b.data(), addend, c.data()})},
                  {a.data(), b.data(), addend, c.data()});
}

// A sum of nothing, for which cuBLAS has no kernel.
void CudaMatmul::store_addend(const void* addend, const Tensor& c) const {
  if (addend == nullptr)
    check(cudaMemsetAsync(c.data(), 0, c.bytes(), context_.stream), "a matrix product");
  else if (addend != c.data())
    check(cudaMemcpyAsync(c.data(), addend, c.bytes(), cudaMemcpyDeviceToDevice, context_.stream),
          "a matrix product");
}

}  // namespace cola::cuda
