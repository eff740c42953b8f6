// Reference rotary embedding, in double: elements i and i + head_dim / 2 of each head are one point of a
// plane, turned by the angle position * theta^(-2i / head_dim).
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "core/kernels/rope.h"

namespace cola::reference {

struct RopeShape {
  std::int64_t batch = 1, sequence = 0, heads = 0, head_dim = 0;
};

/// Angles [sequence, head_dim / 2].
inline std::vector<double> rope_angles(std::int64_t sequence, std::int64_t head_dim, double theta) {
  std::vector<double> angles;
  for (std::int64_t position = 0; position < sequence; ++position)
    for (std::int64_t i = 0; i < head_dim / 2; ++i)
      angles.push_back(static_cast<double>(position) *
                       std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)));
  return angles;
}

/// x [batch * sequence, heads * head_dim]; cosines, sines [sequence, head_dim / 2].
inline std::vector<double> rotate(const RopeShape& shape, std::span<const double> x,
                                  std::span<const double> cosines, std::span<const double> sines,
                                  Rotation rotation) {
  const auto [batch, sequence, heads, head_dim] = shape;
  const std::int64_t half = head_dim / 2;
  std::vector<double> result(x.begin(), x.end());
  for (std::int64_t row = 0; row < batch * sequence; ++row)
    for (std::int64_t head = 0; head < heads; ++head)
      for (std::int64_t i = 0; i < half; ++i) {
        const double cosine = cosines[row % sequence * half + i];
        const double sine = sines[row % sequence * half + i] * (rotation == Rotation::forward ? 1 : -1);
        const std::int64_t first = (row * heads + head) * head_dim + i, second = first + half;
        result[first] = x[first] * cosine - x[second] * sine;
        result[second] = x[second] * cosine + x[first] * sine;
      }
  return result;
}

}  // namespace cola::reference
