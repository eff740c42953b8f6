// Gradients by central finite differences, to judge analytic ones.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace cola {

/// d loss / d x for every element of `x`: (loss(x + h) - loss(x - h)) / 2h. With loss in double and values
/// around 1, h = 1e-5 leaves a relative error near 1e-9.
inline std::vector<double> finite_difference_gradient(
    const std::function<double(const std::vector<double>&)>& loss, std::vector<double> x,
    double step = 1e-5) {
  std::vector<double> gradient(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double kept = x[i];
    x[i] = kept + step;
    const double above = loss(x);
    x[i] = kept - step;
    const double below = loss(x);
    x[i] = kept;
    gradient[i] = (above - below) / (2 * step);
  }
  return gradient;
}

/// sum(a * b): with fixed random weights `b` it makes a scalar loss of any output, whose gradient with
/// respect to the output is `b`.
inline double inner_product(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace cola
