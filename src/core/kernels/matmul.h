// Matrix products.
#pragma once

#include "core/tensor.h"

namespace cola {

enum class Transpose { no, yes };
enum class Accumulate { no, yes };

class MatmulKernels {
 public:
  virtual ~MatmulKernels() = default;

  /// c = op(a) · op(b), or c += op(a) · op(b). Shapes after op: a [m, k], b [k, n], c [m, n]; or all three
  /// with one more leading dimension, a batch of independent products. a and b have one type (fp32 or bf16);
  /// c has that type or fp32. Sums are kept in fp32; a product added to bf16 may be rounded before that.
  /// Throws Error if the shapes do not fit.
  virtual void multiply(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                        const Tensor& c, Accumulate accumulate) const = 0;

  /// c = op(a) · op(b) + addend, rounded once; shapes and types as above. addend has c's shape and type and
  /// other memory: cuBLAS 13.1 rounds twice where they are one. Throws Error where they are.
  virtual void multiply_add(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                            const Tensor& addend, const Tensor& c) const = 0;

  /// The width at which a product with a very wide result is best cut into tiles; 0: not at all.
  virtual std::int64_t preferred_tile_width() const = 0;
};

}  // namespace cola
