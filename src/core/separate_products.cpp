#include "core/separate_products.h"

namespace cola {

void SeparateProducts::silu_product(const Tensor& x, const Tensor& a, const Tensor& pre,
                                    const Tensor& split) const {
  matmul_.multiply(x, Transpose::no, a, Transpose::yes, pre, Accumulate::no);
  activation_.silu_split(pre, split);
}

Tensor SeparateProducts::silu_product_backward(const Tensor& d_outputs, const Tensor& b, const Tensor& pre,
                                               const Tensor& d_split, const Tensor& d_pre) const {
  matmul_.multiply(d_outputs, Transpose::no, b, Transpose::no, d_split, Accumulate::no);
  activation_.silu_split_backward(pre, d_split, d_pre);
  return {};
}

void SeparateProducts::rotated_product(const Tensor& x, const Tensor& b, const RotationTables& tables,
                                       std::int64_t rotated_parts, const Tensor& outputs) const {
  matmul_.multiply(x, Transpose::no, b, Transpose::yes, outputs, Accumulate::no);
  for (std::int64_t part = 0; part < rotated_parts; ++part)
    rope_.rotate(outputs[part], tables, Rotation::forward);
}

void SeparateProducts::gated_product(GateActivation activation, const Tensor& x, const Tensor& b,
                                     const Tensor& gate, const Tensor& up, const Tensor& product) const {
  matmul_.multiply(x, Transpose::no, b, Transpose::yes, up, Accumulate::no);
  activation_.gate_product(activation, gate, up, product);
}

void SeparateProducts::gated_product_backward(GateActivation activation, const Tensor& d_pre, const Tensor& a,
                                              const Tensor& d_product, const Tensor& gate,
                                              const Tensor& up) const {
  matmul_.multiply(d_pre, Transpose::no, a, Transpose::no, d_product, Accumulate::no);
  activation_.gate_product_backward(activation, gate, up, d_product, gate, up);
}

void SeparateProducts::normed_product_backward(const Tensor& d_pre, const Tensor& a, const Tensor&,
                                               const Tensor&, const Tensor& dy,
                                               const NormBackward& norm) const {
  matmul_.multiply(d_pre, Transpose::no, a, Transpose::no, dy, Accumulate::no);
  norm_.backward(dy, norm);
}

}  // namespace cola
