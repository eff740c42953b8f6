#include "io/tokens/corpus_blend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "core/error.h"

namespace cola {
namespace {

using Weights = std::vector<double>;

// Of one corpus, of two, of many, alike and not, of tiny ones among large ones, and in any order.
const std::vector<Weights>& blends() {
  static const std::vector<Weights> all = [] {
    std::vector<Weights> made{{1},
                              {1, 1},
                              {3, 1},
                              {0.3, 0.7},
                              {1e-6, 1},
                              {1, 1e-6, 1e-6},
                              {1e18, 1},
                              {5e-324, 1e-323, 1e18},
                              {0.5, 0.25, 0.125, 0.0625, 0.0625},
                              {1, 2, 3, 4, 5, 6, 7},
                              Weights(20, 1),
                              Weights(33, 0.03)};
    Weights falling(20);
    for (std::size_t i = 0; i < falling.size(); ++i) falling[i] = std::pow(0.6, i);
    made.push_back(falling);
    std::reverse(falling.begin(), falling.end());
    made.push_back(falling);
    return made;
  }();
  return all;
}

double bound_of(std::size_t corpora) {
  return 0.5 * static_cast<double>(std::bit_width(corpora - 1));
}

TEST(CorpusBlend, EachCorpusIsReadFromItsBeginningWithoutAGap) {
  for (const Weights& weights : blends()) {
    const CorpusBlend blend(weights);
    std::vector<std::int64_t> next(weights.size());
    for (std::int64_t position = 0; position < 20000; ++position) {
      const CorpusPosition place = blend.at(position);
      ASSERT_LT(place.corpus, weights.size());
      ASSERT_EQ(place.position, next[place.corpus]++) << weights.size() << " corpora, position " << position;
    }
  }
}

TEST(CorpusBlend, EveryBeginningHoldsTheSharesToWithinHalfOfALogarithm) {
  for (const Weights& weights : blends()) {
    const CorpusBlend blend(weights);
    std::vector<double> count(weights.size()), most(weights.size());
    for (std::int64_t position = 0; position < 20000; ++position) {
      ++count[blend.at(position).corpus];
      for (std::size_t i = 0; i < weights.size(); ++i)
        most[i] = std::max(most[i], std::abs(count[i] - static_cast<double>(position + 1) * blend.share(i)));
    }
    for (std::size_t i = 0; i < weights.size(); ++i)
      EXPECT_LE(most[i], bound_of(weights.size()) + 1e-6) << i << " of " << weights.size() << " corpora";
  }
}

// A corpus's own position is the number of those before: the same bound, where nobody can count.
TEST(CorpusBlend, HoldsTheSharesAtHugePositions) {
  for (const Weights& weights : blends()) {
    const CorpusBlend blend(weights);
    const std::vector<std::int64_t> parts = blend.parts();
    const std::int64_t all = std::accumulate(parts.begin(), parts.end(), std::int64_t{0});
    for (const std::int64_t start : {std::int64_t{1} << 40, (std::int64_t{1} << 62) - 500}) {
      std::vector<std::int64_t> next(weights.size(), -1);
      for (std::int64_t position = start; position < start + 500; ++position) {
        const CorpusPosition place = blend.at(position);
        if (std::exchange(next[place.corpus], place.position + 1) >= 0) {
          ASSERT_EQ(place.position + 1, next[place.corpus]);
        }
        // position * parts / all, whole and rest apart, since no floating-point number holds it.
        const std::int64_t part = parts[place.corpus], whole = position / all * part;
        const double rest =
            static_cast<double>(position % all) * static_cast<double>(part) / static_cast<double>(all);
        ASSERT_LE(std::abs(static_cast<double>(place.position - whole) - rest),
                  bound_of(weights.size()) + 1e-5)
            << place.corpus << " of " << weights.size() << " corpora, position " << position;
      }
    }
  }
}

TEST(CorpusBlend, SharesAreWeightsOverTheirSum) {
  for (const Weights& weights : blends()) {
    const CorpusBlend blend(weights);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (std::size_t i = 0; i < weights.size(); ++i)
      EXPECT_NEAR(blend.share(i), weights[i] / sum, 1e-9 * static_cast<double>(weights.size()));
    for (const std::int64_t parts : blend.parts()) EXPECT_GE(parts, 1) << "read at last";
  }
  EXPECT_EQ(CorpusBlend({3, 1}).parts(), CorpusBlend({0.75, 0.25}).parts());
  EXPECT_NE(CorpusBlend({3, 1}).parts(), CorpusBlend({3.0001, 1}).parts());
}

// What a person would lay down: no long stretch of one corpus where its share is small.
TEST(CorpusBlend, TakesTurnsEvenly) {
  std::vector<std::size_t> corpora;
  for (std::int64_t position = 0; position < 8; ++position)
    corpora.push_back(CorpusBlend({3, 1}).at(position).corpus);
  EXPECT_EQ(corpora, (std::vector<std::size_t>{0, 0, 1, 0, 0, 0, 1, 0}));
  const CorpusBlend many(Weights(20, 1));
  for (std::int64_t begin = 0; begin < 2000; begin += 20) {
    std::vector<int> seen(20);
    for (std::int64_t position = begin; position < begin + 20; ++position) ++seen[many.at(position).corpus];
    EXPECT_EQ(seen, std::vector<int>(20, 1)) << begin;
  }
}

TEST(CorpusBlend, RefusesWeightsThatMakeNoShares) {
  const double infinite = std::numeric_limits<double>::infinity();
  for (const Weights& weights :
       {Weights{}, {0}, {1, 0}, {1, -1}, {2, -1}, {1, infinite}, {std::nan(""), 1}, {1e308, 1e308}})
    EXPECT_THROW(CorpusBlend{weights}, UsageError) << weights.size();
}

}  // namespace
}  // namespace cola
