// Elementary functions written without branches, so that loops over them become vector code.
#pragma once

#include <bit>
#include <cstdint>

namespace cola::cpu {

/// e^r for |r| <= ln(2) / 2 (Cephes' coefficients).
inline float exp_polynomial(float r) {
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return p * r * r + r + 1.0f;
}

/// e^x to about 1e-7 relative; results below the smallest normal float become 0, above the largest infinity.
/// x = n ln 2 + r; a polynomial for e^r; 2^n through the exponent's bits.
inline float fast_exp(float x) {
  x = x > 89.0f ? 89.0f : x;
  const float clamped = x < -87.3f ? -87.3f : x;
  const float shifted =
      clamped * 1.44269504088896341f + 12582912.0f;  // rounds: the fraction falls off the mantissa
  const float n = shifted - 12582912.0f;
  float r = clamped - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  const float p = exp_polynomial(r);
  // 2^n in two factors, so that n = 128 overflows to infinity instead of wrapping.
  const std::int32_t exponent =
      std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(12582912.0f);
  const std::int32_t half = exponent >> 1;
  const float scale_one = std::bit_cast<float>((half + 127) << 23);
  const float scale_two = std::bit_cast<float>((exponent - half + 127) << 23);
  const float result = p * scale_one * scale_two;
  return x < -87.3f ? 0.0f : result;
}

/// e^x for x <= 0, as softmax needs it: nothing can overflow, results below the smallest normal float stay
/// tiny.
inline float exp_nonpositive(float x) {
  const float clamped = x < -87.0f ? -87.0f : x;
  const float shifted = clamped * 1.44269504088896341f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  float r = clamped - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  const float p = exp_polynomial(r);
  return p * std::bit_cast<float>((std::bit_cast<std::int32_t>(shifted) + 127) << 23);
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
