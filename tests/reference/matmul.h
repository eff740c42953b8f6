// Reference matrix product: c = op(a) op(b) (+ c), a triple loop in double.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/kernels/matmul.h"

namespace cola::reference {

struct ProductShape {
  std::int64_t batch = 1, m = 0, n = 0, k = 0;
};

/// a is [batch, m, k], or [batch, k, m] if transposed; b is [batch, k, n], or [batch, n, k] if transposed.
/// Returns [batch, m, n], with `c` added unless it is empty.
inline std::vector<double> multiply(const ProductShape& shape, std::span<const double> a,
                                    Transpose transpose_a, std::span<const double> b, Transpose transpose_b,
                                    std::span<const double> c = {}) {
  const auto [batch, m, n, k] = shape;
  std::vector<double> result(c.begin(), c.end());
  result.resize(batch * m * n);
  for (std::int64_t p = 0; p < batch; ++p)
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        for (std::int64_t l = 0; l < k; ++l) {
          const double left = a[p * m * k + (transpose_a == Transpose::yes ? l * m + i : i * k + l)];
          const double right = b[p * k * n + (transpose_b == Transpose::yes ? j * k + l : l * n + j)];
          result[(p * m + i) * n + j] += left * right;
        }
  return result;
}

}  // namespace cola::reference
