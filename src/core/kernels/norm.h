// Root-mean-square normalisation (Zhang and Sennrich, 2019): y = weight * x / sqrt(mean(x^2) + epsilon).
#pragma once

#include "core/tensor.h"

namespace cola {

class NormKernels {
 public:
  virtual ~NormKernels() = default;

  /// x, y [n, d]; weight [d]; inverse_rms [n] fp32, kept for the backward pass. x, y, weight share one type.
  virtual void forward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& y,
                       const Tensor& inverse_rms) const = 0;

  /// y again from x and the kept inverse_rms: the same bits as forward wrote.
  virtual void recompute(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms,
                         const Tensor& y) const = 0;

  /// dx += gradient of the norm with respect to x (dx holds the residual stream's gradient); dweight [d] fp32
  /// +=.
  virtual void backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& inverse_rms,
                        const Tensor& dx, const Tensor& dweight) const = 0;
};

}  // namespace cola
