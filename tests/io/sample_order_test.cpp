#include "io/tokens/sample_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "core/error.h"

namespace cola {
namespace {

constexpr std::int64_t mebibyte = 1 << 20;

std::vector<std::int64_t> epoch_of(const SampleOrder& order, std::int64_t epoch, std::int64_t samples) {
  std::vector<std::int64_t> visited;
  for (std::int64_t i = 0; i < samples; ++i) visited.push_back(order.at(epoch * samples + i));
  return visited;
}

bool visits_each_once(std::vector<std::int64_t> visited) {
  std::sort(visited.begin(), visited.end());
  for (std::size_t i = 0; i < visited.size(); ++i)
    if (visited[i] != static_cast<std::int64_t>(i)) return false;
  return true;
}

TEST(SampleOrder, EachEpochVisitsEachSampleOnce) {
  // 10 samples a block: from one sample over one block, one window and beyond, with and without a partial
  // block.
  for (const std::int64_t samples :
       {1, 2, 3, 9, 10, 11, 19, 20, 21, 159, 160, 161, 165, 169, 170, 1000, 3333, 4801})
    for (const std::uint64_t seed : {0ull, 42ull, ~0ull})
      for (const std::int64_t epoch : {0, 1, 7}) {
        const SampleOrder order(seed, samples, mebibyte / 10 + 1);
        EXPECT_TRUE(visits_each_once(epoch_of(order, epoch, samples)))
            << samples << " samples, seed " << seed << ", epoch " << epoch;
      }
}

TEST(SampleOrder, WorksWithSamplesLargerThanABlockAndWithRealSizes) {
  EXPECT_TRUE(visits_each_once(epoch_of(SampleOrder(1, 100, 3 * mebibyte), 0, 100)));
  EXPECT_TRUE(visits_each_once(epoch_of(SampleOrder(1, 50001, 512), 3, 50001)));
}

TEST(SampleOrder, ReachesFarIntoHugeDatasets) {
  const std::int64_t samples = 1'000'000'000'007;
  const SampleOrder order(3, samples, 512);
  std::set<std::int64_t> seen;
  for (std::int64_t i = 0; i < 2000; ++i) {
    const std::int64_t sample = order.at(5 * samples - 1 - i * 499'999'999);
    EXPECT_GE(sample, 0);
    EXPECT_LT(sample, samples);
    seen.insert(sample);
  }
  EXPECT_EQ(seen.size(), 2000u);
}

TEST(SampleOrder, DependsOnSeedAndEpochAndNothingElse) {
  const SampleOrder a(1, 5000, 512), again(1, 5000, 512), b(2, 5000, 512);
  EXPECT_EQ(epoch_of(a, 0, 5000), epoch_of(again, 0, 5000));
  const auto agreements = [](const std::vector<std::int64_t>& x, const std::vector<std::int64_t>& y) {
    std::int64_t same = 0;
    for (std::size_t i = 0; i < x.size(); ++i) same += x[i] == y[i];
    return same;
  };
  // Two independent permutations agree in one place on average.
  EXPECT_LT(agreements(epoch_of(a, 0, 5000), epoch_of(b, 0, 5000)), 10);
  EXPECT_LT(agreements(epoch_of(a, 0, 5000), epoch_of(a, 1, 5000)), 10);
  std::vector<std::int64_t> in_order(5000);
  std::iota(in_order.begin(), in_order.end(), 0);
  EXPECT_LT(agreements(epoch_of(a, 0, 5000), in_order), 10);
}

TEST(SampleOrder, StaysWithinSixteenBlocks) {
  const std::int64_t samples = 2048 * 100 + 777, window = 16 * 2048;  // 512 bytes: 2048 samples a block
  const std::vector<std::int64_t> visited = epoch_of(SampleOrder(9, samples, 512), 0, samples);
  for (std::int64_t begin = 0; begin + window <= samples; begin += window / 2) {
    std::set<std::int64_t> blocks;
    for (std::int64_t i = begin; i < begin + window; ++i)
      blocks.insert(visited[static_cast<std::size_t>(i)] / 2048);
    EXPECT_LE(blocks.size(), 33u) << "two windows at most from position " << begin;
  }
  std::set<std::int64_t> first_window;
  for (std::int64_t i = 0; i < window - 2048; ++i)
    first_window.insert(visited[static_cast<std::size_t>(i)] / 2048);
  EXPECT_LE(first_window.size(), 16u);
  EXPECT_GT(*first_window.rbegin() - *first_window.begin(), 40) << "blocks come from all over the dataset";
}

TEST(SampleOrder, MixesTheBlocksOfAWindow) {
  const std::vector<std::int64_t> visited = epoch_of(SampleOrder(9, 2048 * 64, 512), 0, 2048 * 64);
  std::map<std::int64_t, int> first_thousand;
  for (std::size_t i = 0; i < 1000; ++i) ++first_thousand[visited[i] / 2048];
  EXPECT_EQ(first_thousand.size(), 16u);
  for (const auto& [block, count] : first_thousand) EXPECT_NEAR(count, 62.5, 40) << block;
}

TEST(SampleOrder, PutsEverySampleEverywhereEquallyOften) {
  constexpr std::int64_t samples = 7, epochs = 14000;
  std::int64_t counts[samples][samples] = {};
  const SampleOrder order(11, samples, 512);
  for (std::int64_t position = 0; position < samples * epochs; ++position)
    ++counts[position % samples][order.at(position)];
  double chi_squared = 0;
  for (const auto& row : counts)
    for (const std::int64_t count : row) chi_squared += std::pow(static_cast<double>(count) - 2000, 2) / 2000;
  EXPECT_LT(chi_squared, 75);  // 36 degrees of freedom: exceeded once in 10 000 tries
}

TEST(SampleOrder, KeepsTheOrderOfEarlierVersions) {
  // A resumed run must go on in the order it began with.
  const SampleOrder order(42, 5000, 512);
  std::vector<std::int64_t> first;
  for (std::int64_t i = 0; i < 6; ++i) first.push_back(order.at(i));
  EXPECT_EQ(first, (std::vector<std::int64_t>{3343, 4679, 2854, 2714, 1362, 0}));
  EXPECT_EQ(order.at(123456789), 4964);
}

TEST(SampleOrder, RefusesAnEmptyDataset) {
  EXPECT_THROW(SampleOrder(1, 0, 512), UsageError);
}

}  // namespace
}  // namespace cola
