// Cross-entropy of logits against target ids, in place and for a chunk of rows at a time.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor.h"

namespace cola {

/// Targets with this value (padding) add nothing to loss, count or gradient.
constexpr std::int32_t ignored_target = -1;

class CrossEntropyKernels {
 public:
  virtual ~CrossEntropyKernels() = default;

  /// logits: the columns of [n, stored vocabulary] as one or more dense tiles [n, width], from left to right;
  /// the first `vocabulary` columns are real. targets [n] int32. losses [n] fp32 receives each row's loss:
  /// log(sum(exp(logits))) - logits[target], 0 where ignored.
  virtual void forward(std::span<const Tensor> logits, const Tensor& targets, std::int64_t vocabulary,
                       const Tensor& losses) const = 0;

  /// As forward; logits are then overwritten with the gradient of the SUM of the losses: softmax - one_hot, 0
  /// in ignored rows and in columns beyond `vocabulary`.
  virtual void forward_backward(std::span<const Tensor> logits, const Tensor& targets,
                                std::int64_t vocabulary, const Tensor& losses) const = 0;
};

}  // namespace cola
