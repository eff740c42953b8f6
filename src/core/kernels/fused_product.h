// Matrix products joined with the work around them: the non-linearity between the halves of CoLA's
// auto-encoder (Liu et al., "CoLA", 2025, y = B silu(A x)), the rotation of queries and keys, SwiGLU's
// product, and the norm before. A device that has kernels for it does both in one pass over memory; others do
// one after the other (core/separate_products.h), with the same result up to rounding.
#pragma once

#include "core/data_type.h"
#include "core/kernels/activation.h"
#include "core/kernels/norm.h"
#include "core/kernels/rope.h"
#include "core/tensor.h"

namespace cola {

/// n rows; parts of r columns each, "joined" [n, parts * r] or "split" [parts, n, r] as in activation.h.
class FusedProductKernels {
 public:
  virtual ~FusedProductKernels() = default;

  /// Whether products of tensors of `type` are joined with what follows them here.
  virtual bool joins(DataType type) const = 0;

  /// pre = x a^T and split = silu(pre). x [n, in]; a [parts * r, in], the parts' factors one below the other;
  /// pre joined, split split.
  virtual void silu_product(const Tensor& x, const Tensor& a, const Tensor& pre,
                            const Tensor& split) const = 0;

  /// d_pre = (d_outputs b) * silu'(pre), part by part: the gradient of pre where each part's output is
  /// silu(pre) b^T. d_outputs [parts, n, out]; b [parts, out, r]; pre and d_pre joined. d_split, split, is
  /// memory that may be written to. Returns what normed_product_backward can do without: sums of pre * d_pre
  /// over stretches of each row, fp32 [stretches, n], in d_split's memory; or an empty tensor.
  virtual Tensor silu_product_backward(const Tensor& d_outputs, const Tensor& b, const Tensor& pre,
                                       const Tensor& d_split, const Tensor& d_pre) const = 0;

  /// outputs = x b^T, part by part, the first `rotated_parts` rotated: queries and keys; row r has position
  /// r % (rows of the tables). x [parts, n, r]; b [parts, out, r]; outputs [parts, n, out].
  virtual void rotated_product(const Tensor& x, const Tensor& b, const RotationTables& tables,
                               std::int64_t rotated_parts, const Tensor& outputs) const = 0;

  /// up = x b^T and product = gate * up or silu(gate) * up. x [n, r]; b [f, r]; gate, up, product [n, f].
  virtual void gated_product(GateActivation activation, const Tensor& x, const Tensor& b, const Tensor& gate,
                             const Tensor& up, const Tensor& product) const = 0;

  /// The gradients of gate and up, which take their place, where the gradient of their product is d_pre a.
  /// d_pre [n, r]; a [r, f]. d_product [n, f] is memory that may be written to.
  virtual void gated_product_backward(GateActivation activation, const Tensor& d_pre, const Tensor& a,
                                      const Tensor& d_product, const Tensor& gate,
                                      const Tensor& up) const = 0;

  /// The norm's backward pass where d_pre is the gradient of pre = y a^T, y being what the norm wrote: that
  /// of y is dy = d_pre a. d_pre, pre [n, k]; a [k, d]. row_dots is what silu_product_backward returned with
  /// d_pre, or empty. dy [n, d] is memory that may be written to.
  virtual void normed_product_backward(const Tensor& d_pre, const Tensor& a, const Tensor& pre,
                                       const Tensor& row_dots, const Tensor& dy,
                                       const NormBackward& norm) const = 0;
};

}  // namespace cola
