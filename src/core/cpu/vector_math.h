// Elementary functions written without branches, so that loops over them become vector code.
#pragma once

#include <bit>
#include <cstdint>

namespace cola::cpu {

/// x = n ln 2 + r: n as an integer, and e^r by a polynomial (Cephes' coefficients), for x of moderate size.
struct ReducedExponential {
  std::int32_t n;
  float power;
};

inline ReducedExponential reduce_exponential(float x) {
  const float shifted =
      x * 1.44269504088896341f + 12582912.0f;  // rounds: the fraction falls off the mantissa
  const float n = shifted - 12582912.0f;
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const auto integer = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(12582912.0f);
  return {integer, p * r * r + r + 1.0f};
}

/// 2^n through the exponent's bits, for n that a normal float can hold.
inline float power_of_two(std::int32_t n) {
  return std::bit_cast<float>((n + 127) << 23);
}

/// e^x to about 1e-7 relative; results below the smallest normal float become 0, above the largest infinity.
inline float fast_exp(float x) {
  x = x > 89.0f ? 89.0f : x;
  const auto [n, power] = reduce_exponential(x < -87.3f ? -87.3f : x);
  // 2^n in two factors, so that n = 128 overflows to infinity instead of wrapping.
  const std::int32_t half = n >> 1;
  const float result = power * power_of_two(half) * power_of_two(n - half);
  return x < -87.3f ? 0.0f : result;
}

/// e^x for x <= 0, as softmax needs it: nothing can overflow, results below the smallest normal float stay
/// tiny.
inline float exp_nonpositive(float x) {
  const auto [n, power] = reduce_exponential(x < -87.0f ? -87.0f : x);
  return power * power_of_two(n);
}

inline float sigmoid(float x) {
  return 1.0f / (1.0f + fast_exp(-x));
}
inline float silu(float x) {
  return x * sigmoid(x);
}

/// silu'(x) = s (1 + x (1 - s)) with s = sigmoid(x).
inline float silu_derivative(float x) {
  const float s = sigmoid(x);
  return s * (1.0f + x * (1.0f - s));
}

}  // namespace cola::cpu
