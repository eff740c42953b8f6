// Table look-up of token vectors, and its gradient.
#pragma once

#include "core/tensor.h"

namespace cola {

class EmbeddingKernels {
 public:
  virtual ~EmbeddingKernels() = default;

  /// out[i] = table[ids[i]]. ids [n] int32, each in [0, rows of table); table [vocabulary, d]; out [n, d].
  virtual void forward(const Tensor& ids, const Tensor& table, const Tensor& out) const = 0;

  /// d_table[ids[i]] += d_out[i], in a fixed order. d_table [vocabulary, d] fp32.
  virtual void backward(const Tensor& ids, const Tensor& d_out, const Tensor& d_table) const = 0;
};

}  // namespace cola
