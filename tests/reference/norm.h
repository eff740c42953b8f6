// Reference root-mean-square normalisation and its gradient, in double:
//   y_j = w_j x_j s,  s = 1 / sqrt(mean(x^2) + epsilon)
//   dx_j = s (w_j dy_j - x_j s^2 mean_i(w_i dy_i x_i)),  dw_j = sum over rows of dy_j x_j s
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace cola::reference {

struct NormResult {
  std::vector<double> y, inverse_rms;  // [n, d], [n]
};

struct NormGradient {
  std::vector<double> dx, dweight;  // [n, d], [d]
};

/// x [n, d], weight [d].
inline NormResult norm_forward(std::int64_t n, std::int64_t d, std::span<const double> x,
                               std::span<const double> weight, double epsilon) {
  NormResult result{std::vector<double>(n * d), std::vector<double>(n)};
  for (std::int64_t i = 0; i < n; ++i) {
    double squares = 0;
    for (std::int64_t j = 0; j < d; ++j) squares += x[i * d + j] * x[i * d + j];
    result.inverse_rms[i] = 1 / std::sqrt(squares / static_cast<double>(d) + epsilon);
    for (std::int64_t j = 0; j < d; ++j)
      result.y[i * d + j] = weight[j] * x[i * d + j] * result.inverse_rms[i];
  }
  return result;
}

inline NormGradient norm_backward(std::int64_t n, std::int64_t d, std::span<const double> dy,
                                  std::span<const double> x, std::span<const double> weight,
                                  std::span<const double> inverse_rms) {
  NormGradient gradient{std::vector<double>(n * d), std::vector<double>(d)};
  for (std::int64_t i = 0; i < n; ++i) {
    const double scale = inverse_rms[i];
    double mean = 0;
    for (std::int64_t j = 0; j < d; ++j)
      mean += weight[j] * dy[i * d + j] * x[i * d + j] / static_cast<double>(d);
    for (std::int64_t j = 0; j < d; ++j) {
      const std::int64_t at = i * d + j;
      gradient.dx[at] = scale * (weight[j] * dy[at] - x[at] * scale * scale * mean);
      gradient.dweight[j] += dy[at] * x[at] * scale;
    }
  }
  return gradient;
}

}  // namespace cola::reference
