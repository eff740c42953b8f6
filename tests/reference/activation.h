// Reference element-wise non-linearities, in double. silu(x) = x s(x), silu'(x) = s(x) (1 + x (1 - s(x))),
// with s the logistic function.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/kernels/activation.h"

namespace cola::reference {

inline double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}
inline double silu(double x) {
  return x * logistic(x);
}
inline double silu_derivative(double x) {
  return logistic(x) * (1 + x * (1 - logistic(x)));
}

/// Where element `column` of row `row` and part `part` lies in the joined layout [n, parts * r].
inline std::int64_t joined_index(std::int64_t parts, std::int64_t r, std::int64_t part, std::int64_t row,
                                 std::int64_t column) {
  return (row * parts + part) * r + column;
}

/// joined [n, parts * r] to [parts, n, r].
inline std::vector<double> silu_split(std::int64_t parts, std::int64_t n, std::int64_t r,
                                      std::span<const double> joined) {
  std::vector<double> split;
  for (std::int64_t part = 0; part < parts; ++part)
    for (std::int64_t row = 0; row < n; ++row)
      for (std::int64_t column = 0; column < r; ++column)
        split.push_back(silu(joined[joined_index(parts, r, part, row, column)]));
  return split;
}

/// Gradient [n, parts * r] of silu_split, from d_split [parts, n, r].
inline std::vector<double> silu_split_backward(std::int64_t parts, std::int64_t n, std::int64_t r,
                                               std::span<const double> joined,
                                               std::span<const double> d_split) {
  std::vector<double> d_joined(joined.size());
  std::size_t next = 0;
  for (std::int64_t part = 0; part < parts; ++part)
    for (std::int64_t row = 0; row < n; ++row)
      for (std::int64_t column = 0; column < r; ++column) {
        const std::int64_t at = joined_index(parts, r, part, row, column);
        d_joined[at] = d_split[next++] * silu_derivative(joined[at]);
      }
  return d_joined;
}

inline std::vector<double> gate_product(GateActivation activation, std::span<const double> gate,
                                        std::span<const double> up) {
  std::vector<double> product(gate.size());
  for (std::size_t i = 0; i < gate.size(); ++i)
    product[i] = (activation == GateActivation::silu ? silu(gate[i]) : gate[i]) * up[i];
  return product;
}

struct GateGradient {
  std::vector<double> d_gate, d_up;
};

inline GateGradient gate_product_backward(GateActivation activation, std::span<const double> gate,
                                          std::span<const double> up, std::span<const double> d_product) {
  GateGradient gradient{std::vector<double>(gate.size()), std::vector<double>(gate.size())};
  const bool activated = activation == GateActivation::silu;
  for (std::size_t i = 0; i < gate.size(); ++i) {
    gradient.d_gate[i] = d_product[i] * up[i] * (activated ? silu_derivative(gate[i]) : 1);
    gradient.d_up[i] = d_product[i] * (activated ? silu(gate[i]) : gate[i]);
  }
  return gradient;
}

}  // namespace cola::reference
