#include "io/tokens/blended_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <set>
#include <vector>

namespace cola {
namespace {

std::vector<Corpus> corpora_of(const std::vector<std::int64_t>& samples, const std::vector<double>& weights) {
  std::vector<Corpus> corpora;
  for (std::size_t i = 0; i < samples.size(); ++i)
    corpora.push_back({.weight = weights[i], .samples = samples[i], .sample_bytes = 512});
  return corpora;
}

// What is read of one corpus, in order, as indices inside it.
std::vector<std::int64_t> read_of(const BlendedOrder& order, std::int64_t positions, std::int64_t first,
                                  std::int64_t samples) {
  std::vector<std::int64_t> read;
  for (std::int64_t position = 0; position < positions; ++position)
    if (const std::int64_t sample = order.at(position); sample >= first && sample < first + samples)
      read.push_back(sample - first);
  return read;
}

TEST(BlendedOrder, OfOneCorpusIsItsSampleOrder) {
  const BlendedOrder blended(42, corpora_of({5000}, {0.3}));
  const SampleOrder alone(42, 5000, 512);
  for (std::int64_t position = 0; position < 12000; ++position)
    ASSERT_EQ(blended.at(position), alone.at(position)) << position;
}

TEST(BlendedOrder, EachCorpusRepeatsItsOwnEpochs) {
  const std::vector<std::int64_t> samples{300, 4000, 7};
  const BlendedOrder order(5, corpora_of(samples, {2, 1, 1}));
  std::int64_t first = 0;
  for (const std::int64_t of_this : samples) {
    std::vector<std::int64_t> read = read_of(order, 20000, first, of_this);
    for (std::size_t begin = 0; begin + static_cast<std::size_t>(of_this) <= read.size();
         begin += static_cast<std::size_t>(of_this)) {
      const auto epoch = read.begin() + static_cast<std::ptrdiff_t>(begin);
      ASSERT_EQ(std::set<std::int64_t>(epoch, epoch + of_this).size(), static_cast<std::size_t>(of_this));
    }
    EXPECT_GE(read.size(), static_cast<std::size_t>(of_this)) << "an epoch at least";
    first += of_this;
  }
}

TEST(BlendedOrder, ShufflesCorporaOfOneSizeInDifferentWays) {
  const BlendedOrder order(5, corpora_of({3000, 3000}, {1, 1}));
  const std::vector<std::int64_t> a = read_of(order, 6000, 0, 3000), b = read_of(order, 6000, 3000, 3000);
  ASSERT_EQ(a.size(), b.size());
  std::int64_t same = 0;
  for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i];
  EXPECT_LT(same, 10) << "two independent permutations agree in one place on average";
}

TEST(BlendedOrder, DependsOnSeedAndWeights) {
  const auto corpora = corpora_of({3000, 2000}, {1, 1}), heavier = corpora_of({3000, 2000}, {2, 1});
  const auto read = [](const BlendedOrder& order) {
    std::vector<std::int64_t> samples;
    for (std::int64_t position = 0; position < 1000; ++position) samples.push_back(order.at(position));
    return samples;
  };
  EXPECT_EQ(read({1, corpora}), read({1, corpora}));
  EXPECT_NE(read({1, corpora}), read({2, corpora}));
  EXPECT_NE(read({1, corpora}), read({1, heavier}));
}

TEST(BlendedOrder, KeepsTheOrderOfEarlierVersions) {
  // A resumed run must go on in the order it began with.
  const BlendedOrder order(42, corpora_of({5000, 300, 70000, 9, 1000}, {0.5, 0.2, 0.15, 0.1, 0.05}));
  std::vector<std::int64_t> first;
  for (std::int64_t i = 0; i < 8; ++i) first.push_back(order.at(i));
  EXPECT_EQ(first, (std::vector<std::int64_t>{3343, 29954, 5138, 4679, 2854, 75303, 2714, 5188}));
  EXPECT_EQ(order.at(123456789), 2647);
}

}  // namespace
}  // namespace cola
