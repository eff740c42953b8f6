// Philox4x32-10, a counter-based random number generator (Salmon et al., "Parallel Random Numbers: As Easy as
// 1, 2, 3", SC 2011): a pure function of (key, counter), so values depend on neither ranks, threads nor
// devices.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace cola {

using PhiloxBlock = std::array<std::uint32_t, 4>;

/// Four random 32-bit words for one counter.
constexpr PhiloxBlock philox(std::uint64_t key, std::uint64_t counter_low, std::uint64_t counter_high = 0) {
  std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  PhiloxBlock c{static_cast<std::uint32_t>(counter_low), static_cast<std::uint32_t>(counter_low >> 32),
                static_cast<std::uint32_t>(counter_high), static_cast<std::uint32_t>(counter_high >> 32)};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/// A key from a seed and a name (FNV-1a of the name, mixed with the seed).
constexpr std::uint64_t philox_key(std::uint64_t seed, std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char character : name) hash = (hash ^ static_cast<unsigned char>(character)) * 0x100000001b3ull;
  return hash ^ (seed * 0x9E3779B97F4A7C15ull);
}

/// Uniform in (0, 1]: never 0, so that its logarithm exists.
inline double philox_uniform(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t bits = (std::uint64_t{high} << 21) ^ (std::uint64_t{low} >> 11);
  return (static_cast<double>(bits & ((std::uint64_t{1} << 53) - 1)) + 0.5) * 0x1p-53;
}

/// Standard normal number `index` of the stream `key`, by the Box-Muller transform.
inline float philox_normal(std::uint64_t key, std::uint64_t index) {
  const PhiloxBlock words = philox(key, index);
  const double radius = std::sqrt(-2.0 * std::log(philox_uniform(words[0], words[1])));
  return static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * philox_uniform(words[2], words[3])));
}

}  // namespace cola
