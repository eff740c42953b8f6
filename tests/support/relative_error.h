// How far a result is from its reference: ||actual - expected|| / ||expected|| over a whole tensor, and
// element by element. NaN and infinity never pass.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

#include "core/data_type.h"

namespace cola {

/// Infinity if anything is not finite, or if something is expected to be zero throughout and is not.
inline double relative_error(std::span<const double> actual, std::span<const double> expected) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  if (!std::isfinite(difference) || !std::isfinite(norm)) return std::numeric_limits<double>::infinity();
  if (norm == 0) return difference == 0 ? 0 : std::numeric_limits<double>::infinity();
  return std::sqrt(difference / norm);
}

/// What rounding alone may cost in each type.
constexpr double tolerance_of(DataType type) {
  return type == DataType::bfloat16 ? 1e-2 : 1e-5;
}

/// Passes if the relative error of the whole is within `tolerance` and no element strays by more than ten
/// times that from its value (or from the root mean square, for small elements): a single wrong element fails
/// in a large tensor too.
inline ::testing::AssertionResult is_close(std::span<const double> actual, std::span<const double> expected,
                                           double tolerance) {
  if (actual.size() != expected.size())
    return ::testing::AssertionFailure() << actual.size() << " elements instead of " << expected.size();
  double squares = 0;
  for (const double value : expected) squares += value * value;
  const double root_mean_square = std::sqrt(squares / static_cast<double>(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double bound = 10 * tolerance * (std::abs(expected[i]) + root_mean_square);
    if (!(std::abs(actual[i] - expected[i]) <= bound))  // so written, NaN fails
      return ::testing::AssertionFailure()
             << "element " << i << " of " << expected.size() << " is " << actual[i] << " instead of "
             << expected[i] << ", relative error of the whole " << relative_error(actual, expected);
  }
  const double error = relative_error(actual, expected);
  if (error <= tolerance) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "relative error " << error << " above " << tolerance;
}

}  // namespace cola
