// SeparateProducts: fused products on a device without kernels for them, a product and then the element-wise
// work.
#pragma once

#include "core/kernels/fused_product.h"
#include "core/kernels/matmul.h"

namespace cola {

class SeparateProducts final : public FusedProductKernels {
 public:
  /// All outlive this.
  SeparateProducts(const MatmulKernels& matmul, const ActivationKernels& activation, const RopeKernels& rope,
                   const NormKernels& norm)
      : matmul_(matmul), activation_(activation), rope_(rope), norm_(norm) {}

  bool joins(DataType) const override { return false; }
  void silu_product(const Tensor& x, const Tensor& a, const Tensor& pre, const Tensor& split) const override;
  Tensor silu_product_backward(const Tensor& d_outputs, const Tensor& b, const Tensor& pre,
                               const Tensor& d_split, const Tensor& d_pre) const override;
  void rotated_product(const Tensor& x, const Tensor& b, const RotationTables& tables,
                       std::int64_t rotated_parts, const Tensor& outputs) const override;
  void gated_product(GateActivation activation, const Tensor& x, const Tensor& b, const Tensor& gate,
                     const Tensor& up, const Tensor& product) const override;
  void gated_product_backward(GateActivation activation, const Tensor& d_pre, const Tensor& a,
                              const Tensor& d_product, const Tensor& gate, const Tensor& up) const override;
  void normed_product_backward(const Tensor& d_pre, const Tensor& a, const Tensor& pre,
                               const Tensor& row_dots, const Tensor& dy,
                               const NormBackward& norm) const override;

 private:
  const MatmulKernels& matmul_;
  const ActivationKernels& activation_;
  const RopeKernels& rope_;
  const NormKernels& norm_;
};

}  // namespace cola
