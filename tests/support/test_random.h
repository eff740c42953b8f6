// TestRandom: fresh random numbers for a test. The seed differs from run to run and is part of every failure
// message:
//   TestRandom random;
//   SCOPED_TRACE(random.describe());
// COLA_TEST_SEED=N in the environment repeats a run.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace cola {

class TestRandom {
 public:
  TestRandom() : TestRandom(choose_seed()) {}
  explicit TestRandom(std::uint32_t seed) : seed_(seed), engine_(seed) {}

  std::string describe() const { return "COLA_TEST_SEED=" + std::to_string(seed_); }

  /// `count` normal numbers, as exact floats: what a device sees of them in fp32 is what the reference sees.
  std::vector<double> normal(std::int64_t count, double deviation = 1.0, double mean = 0.0) {
    std::normal_distribution<float> distribution(static_cast<float>(mean), static_cast<float>(deviation));
    std::vector<double> values(static_cast<std::size_t>(count));
    for (double& value : values) value = distribution(engine_);
    return values;
  }

  /// `count` integers in [low, high].
  std::vector<std::int32_t> integers(std::int64_t count, std::int32_t low, std::int32_t high) {
    std::uniform_int_distribution<std::int32_t> distribution(low, high);
    std::vector<std::int32_t> values(static_cast<std::size_t>(count));
    for (std::int32_t& value : values) value = distribution(engine_);
    return values;
  }

 private:
  static std::uint32_t choose_seed() {
    const char* text = std::getenv("COLA_TEST_SEED");
    return text ? static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10)) : std::random_device{}();
  }

  std::uint32_t seed_;
  std::mt19937 engine_;
};

}  // namespace cola
