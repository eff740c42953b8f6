// Reference AdamW step, in double (Loshchilov and Hutter, 2019, Algorithm 2 with a schedule of 1):
//   m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
//   w -= lr (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + decay w)
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "core/kernels/adamw.h"

namespace cola::reference {

struct AdamWState {
  std::vector<double> weights, exp_avg, exp_avg_sq;
};

inline void adamw_update(const AdamWParameters& parameters, std::span<const double> gradient,
                         AdamWState& state) {
  const double beta1 = parameters.beta1, beta2 = parameters.beta2,
               step = static_cast<double>(parameters.step);
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double g = gradient[i] * parameters.gradient_scale;
    double &weight = state.weights[i], &m = state.exp_avg[i], &v = state.exp_avg_sq[i];
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const double m_hat = m / (1 - std::pow(beta1, step)), v_hat = v / (1 - std::pow(beta2, step));
    weight -= parameters.learning_rate *
              (m_hat / (std::sqrt(v_hat) + parameters.epsilon) + parameters.weight_decay * weight);
  }
}

}  // namespace cola::reference
