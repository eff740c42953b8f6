// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019) over a flat shard.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace cola {

struct AdamWParameters {
  float learning_rate = 0, beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f, weight_decay = 0;
  /// Number of this update, counted from 1: corrects the moments' bias.
  std::int64_t step = 1;
  /// Every gradient is multiplied by this first: 1 / tokens times the clipping factor.
  float gradient_scale = 1;
};

class AdamWKernels {
 public:
  virtual ~AdamWKernels() = default;

  /// All [n]: weights, exp_avg, exp_avg_sq and gradient in fp32; working (fp32 or bf16) receives the new
  /// weights, rounded. weights -= lr * (m_hat / (sqrt(v_hat) + eps) + weight_decay * weights).
  virtual void update(const AdamWParameters& parameters, const Tensor& weights, const Tensor& exp_avg,
                      const Tensor& exp_avg_sq, const Tensor& gradient, const Tensor& working) const = 0;
};

}  // namespace cola
