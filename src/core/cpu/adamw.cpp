#include <cmath>

#include "core/cpu/kernels.h"
#include "core/cpu/parallel.h"

namespace cola::cpu {

void CpuAdamW::update(const AdamWParameters& parameters, const Tensor& weights, const Tensor& exp_avg,
                      const Tensor& exp_avg_sq, const Tensor& gradient, const Tensor& working) const {
  const std::int64_t elements = weights.elements();
  const auto step = static_cast<double>(parameters.step);
  const float rate = parameters.learning_rate, beta1 = parameters.beta1, beta2 = parameters.beta2;
  const float correction1 = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta1), step)));
  const float correction2 = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta2), step)));
  const float epsilon = parameters.epsilon, scale = parameters.gradient_scale;
  const float decay = 1.0f - rate * parameters.weight_decay;
  for_type(working.type(), [&]<typename T>() {
    float *w = weights.as<float>(), *m = exp_avg.as<float>(), *v = exp_avg_sq.as<float>();
    const float* g = gradient.as<float>();
    T* rounded = working.as<T>();
#pragma omp parallel for simd schedule(static)
    for (std::int64_t i = 0; i < elements; ++i) {
      const float scaled = g[i] * scale;
      m[i] = beta1 * m[i] + (1.0f - beta1) * scaled;
      v[i] = beta2 * v[i] + (1.0f - beta2) * scaled * scaled;
      const float denominator = std::sqrt(v[i] * correction2) + epsilon;
      w[i] = w[i] * decay - rate * (m[i] * correction1) / denominator;
      rounded[i] = w[i];
    }
  });
}

}  // namespace cola::cpu
