// Sums over tensors, and conversions between types.
#pragma once

#include "core/tensor.h"

namespace cola {

class ReduceKernels {
 public:
  virtual ~ReduceKernels() = default;

  /// Sum of the squares of an fp32 tensor, in double and in a fixed order. NaN or infinity in, NaN or
  /// infinity out. Waits for the device.
  virtual double sum_of_squares(const Tensor& values) const = 0;

  /// total += the sum of an fp32 tensor, in double and in a fixed order; total is a single fp64 number.
  virtual void add_sum(const Tensor& values, const Tensor& total) const = 0;

  /// destination = source, converted between fp32 and bf16; equal numbers of elements.
  virtual void convert(const Tensor& source, const Tensor& destination) const = 0;
};

}  // namespace cola
