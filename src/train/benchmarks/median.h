// The middle of what was measured several times.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace cola {

/// The upper one of the two in the middle where `values`, of which there must be any, are even in number.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace cola
