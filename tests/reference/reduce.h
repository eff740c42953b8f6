// Reference sums, in long double.
#pragma once

#include <span>

namespace cola::reference {

inline double sum(std::span<const double> values) {
  long double result = 0;
  for (const double value : values) result += value;
  return static_cast<double>(result);
}

inline double sum_of_squares(std::span<const double> values) {
  long double result = 0;
  for (const double value : values) result += static_cast<long double>(value) * value;
  return static_cast<double>(result);
}

}  // namespace cola::reference
