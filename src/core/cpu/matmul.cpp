#include <algorithm>
#include <cstring>

#include "core/cpu/kernels.h"
#include "core/cpu/parallel.h"
#include "core/kernels/matmul_shape.h"

namespace cola::cpu {

namespace {

void copy_in_parallel(const Tensor& from, const Tensor& to) {
  constexpr std::int64_t cache_line = 64;  // bytes
  const auto* source = static_cast<const std::byte*>(from.data());
  auto* destination = static_cast<std::byte*>(to.data());
#pragma omp parallel
  {
    const auto [first, last] = part_of(static_cast<std::int64_t>(to.bytes()), omp_get_thread_num(),
                                       omp_get_num_threads(), cache_line);
    std::memcpy(destination + first, source + first, static_cast<std::size_t>(last - first));
  }
}

}  // namespace

void CpuMatmul::multiply(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                         const Tensor& c, Accumulate accumulate) const {
  const MatmulShape sizes = matmul_shape(a, transpose_a, b, transpose_b, c);
  const ProductShape shape{.m = sizes.m,
                           .n = sizes.n,
                           .k = sizes.k,
                           .transpose_a = transpose_a,
                           .transpose_b = transpose_b,
                           .input = a.type(),
                           .output = c.type(),
                           .accumulate = accumulate};
  // oneDNN's batched product is slower than its plain one in turn: the matrices are large enough to fill the
  // cores.
  if (c.rank() == 2) return multiply_matrix(shape, a, b, c);
  for (std::int64_t i = 0; i < sizes.batch; ++i) multiply_matrix(shape, a[i], b[i], c[i]);
}

// oneDNN adds to what is there: the addend is copied, which takes about as long as adding it afterwards.
void CpuMatmul::multiply_add(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                             const Tensor& addend, const Tensor& c) const {
  require_addend(addend, c);
  copy_in_parallel(addend, c);
  multiply(a, transpose_a, b, transpose_b, c, Accumulate::yes);
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
