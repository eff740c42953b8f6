#include "core/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <set>

namespace cola {
namespace {

// Known answers published with the generator (Random123, kat_vectors): counter, key, result.
TEST(Philox, GivesThePublishedNumbers) {
  EXPECT_EQ(philox(0, 0, 0), (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~0ull, ~0ull, ~0ull), (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformNumbersHaveALogarithm) {
  EXPECT_GT(philox_uniform(0, 0), 0);
  EXPECT_LE(philox_uniform(~0u, ~0u), 1);
  EXPECT_NEAR(philox_uniform(0x80000000u, 0), 0.5, 1e-15);
  EXPECT_LT(philox_uniform(0, 1u << 11), philox_uniform(0, 2u << 11));
  EXPECT_TRUE(std::isfinite(std::log(philox_uniform(0, 0))));
}

TEST(Philox, NormalNumbersHaveTheMomentsOfANormalDistribution) {
  const std::uint64_t key = philox_key(42, "model.embed_tokens.weight");
  const int count = 200000;
  double sum = 0, squares = 0, fourths = 0, products = 0, previous = 0;
  int beyond_two = 0;
  for (int i = 0; i < count; ++i) {
    const double x = philox_normal(key, static_cast<std::uint64_t>(i));
    sum += x;
    squares += x * x;
    fourths += x * x * x * x;
    products += x * previous;
    beyond_two += std::abs(x) > 2;
    previous = x;
  }
  EXPECT_NEAR(sum / count, 0, 0.01);
  EXPECT_NEAR(squares / count, 1, 0.02);
  EXPECT_NEAR(fourths / count, 3, 0.15);
  EXPECT_NEAR(products / count, 0, 0.01);
  EXPECT_NEAR(static_cast<double>(beyond_two) / count, 0.0455, 0.003);
}

TEST(Philox, KeysDependOnSeedAndName) {
  std::set<std::uint64_t> keys;
  for (std::uint64_t seed = 0; seed < 100; ++seed)
    for (const char* name : {"", "a", "b", "ab", "ba", "model.norm.weight"})
      keys.insert(philox_key(seed, name));
  EXPECT_EQ(keys.size(), 600u);
}

TEST(Philox, ValuesDependOnKeyAndIndexAlone) {
  static_assert(philox(1, 2) == philox(1, 2, 0));
  EXPECT_EQ(philox_normal(7, 1000), philox_normal(7, 1000));
  EXPECT_NE(philox_normal(7, 1000), philox_normal(7, 1001));
  EXPECT_NE(philox_normal(7, 1000), philox_normal(8, 1000));
}

}  // namespace
}  // namespace cola
