// Root-mean-square normalisation (Zhang and Sennrich, 2019): y = weight * x / sqrt(mean(x^2) + epsilon).
#pragma once

#include "core/tensor.h"

namespace cola {

/// A norm in its backward pass: what it read, and the gradients of that, to which is added.
struct NormBackward {
  Tensor x;            // [n, d]
  Tensor weight;       // [d], of x's type
  Tensor inverse_rms;  // [n] fp32
  Tensor dx;           // [n, d], of x's type: holds the residual stream's gradient
  Tensor dweight;      // [d] fp32
};

class NormKernels {
 public:
  virtual ~NormKernels() = default;

  /// x, y [n, d]; weight [d]; inverse_rms [n] fp32, kept for the backward pass. x, y, weight share one type.
  virtual void forward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& y,
                       const Tensor& inverse_rms) const = 0;

  /// y again from x and the kept inverse_rms: the same bits as forward wrote.
  virtual void recompute(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms,
                         const Tensor& y) const = 0;

  /// Adds the gradients of x and weight, where dy [n, d] is that of y.
  virtual void backward(const Tensor& dy, const NormBackward& norm) const = 0;
};

}  // namespace cola
