#include "train/batch_loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

#include "core/error.h"
#include "io/tokens/token_file.h"
#include "support/test_folder.h"

namespace cola {
namespace {

constexpr std::int64_t sequence = 8, vocabulary = 5000;

// 400 samples whose first token tells them apart.
TokenDataset make_dataset(const TestFolder& folder) {
  std::vector<std::int32_t> tokens(400 * sequence);
  std::iota(tokens.begin(), tokens.end(), 0);
  const std::string path = folder.path("train.h5");
  TokenFileWriter writer(path, {vocabulary, vocabulary - 1, vocabulary - 1, "test", Packing::packed, 0});
  writer.append(tokens);
  writer.close();
  writer.publish();
  return TokenDataset({path}, sequence, vocabulary);
}

std::vector<std::int32_t> samples_of_step(const TokenDataset& dataset, std::int64_t first, int ranks) {
  std::vector<std::int32_t> samples;
  for (int rank = 0; rank < ranks; ++rank) {
    BatchLoader loader(dataset, 3, 10, 2, rank, ranks);
    for (std::int64_t index = 0; index < loader.micro_batches(); ++index) {
      const TokenBatch batch = loader.load(first, index);
      EXPECT_LE(batch.batch, 2);
      if (count_targets(batch.targets) == 0) continue;
      for (std::int64_t row = 0; row < batch.batch; ++row)
        samples.push_back(batch.inputs[static_cast<std::size_t>(row * sequence)]);
    }
  }
  return samples;
}

TEST(BatchLoader, AStepHasTheSameSamplesOnAnyNumberOfRanks) {
  const TestFolder folder;
  const TokenDataset dataset = make_dataset(folder);
  const auto expected = samples_of_step(dataset, 30, 1);
  ASSERT_EQ(expected.size(), 10u);
  for (int ranks = 2; ranks <= 10; ++ranks)
    EXPECT_EQ(samples_of_step(dataset, 30, ranks), expected) << ranks << " ranks";
}

// Two corpora, of 300 and 100 samples.
TokenDataset make_blend(const TestFolder& folder) {
  make_dataset(folder);
  std::vector<std::int32_t> tokens(101 * sequence);
  std::iota(tokens.begin(), tokens.end(), 4000);
  const std::string path = folder.path("other.h5");
  TokenFileWriter writer(path, {vocabulary, vocabulary - 1, vocabulary - 1, "test", Packing::packed, 0});
  writer.append(tokens);
  writer.close();
  writer.publish();
  return TokenDataset(read_token_file_layouts({folder.path("train.h5"), path}),
                      {{.weight = 0.7, .files = 1}, {.weight = 0.3, .files = 1}}, sequence, vocabulary);
}

TEST(BatchLoader, AStepOfABlendHasTheSameSamplesOnAnyNumberOfRanks) {
  const TestFolder folder;
  const TokenDataset dataset = make_blend(folder);
  for (const std::int64_t first : {0, 30, 1230}) {
    const auto expected = samples_of_step(dataset, first, 1);
    ASSERT_EQ(expected.size(), 10u);
    EXPECT_EQ(std::count_if(expected.begin(), expected.end(), [](std::int32_t id) { return id >= 4000; }), 3);
    for (int ranks = 2; ranks <= 10; ++ranks)
      EXPECT_EQ(samples_of_step(dataset, first, ranks), expected) << ranks << " ranks";
  }
}

TEST(BatchLoader, RanksMakeEquallyManyPasses) {
  const TestFolder folder;
  const TokenDataset dataset = make_dataset(folder);
  for (int ranks = 1; ranks <= 10; ++ranks) {
    const std::int64_t expected = BatchLoader(dataset, 3, 10, 2, 0, ranks).micro_batches();
    for (int rank = 0; rank < ranks; ++rank) {
      BatchLoader loader(dataset, 3, 10, 2, rank, ranks);
      EXPECT_EQ(loader.micro_batches(), expected) << "rank " << rank << " of " << ranks;
      EXPECT_GT(count_targets(loader.load(0, 0).targets), 0) << "rank " << rank << " of " << ranks;
    }
  }
}

TEST(BatchLoader, AnEpochSeesEverySampleOnce) {
  const TestFolder folder;
  const TokenDataset dataset = make_dataset(folder);
  std::set<std::int32_t> seen;
  for (std::int64_t first = 0; first < 400; first += 10)
    for (const std::int32_t sample : samples_of_step(dataset, first, 3)) seen.insert(sample);
  EXPECT_EQ(seen.size(), 400u);
}

TEST(BatchLoader, CountsTheTargetsOfAStep) {
  const TestFolder folder;
  const TokenDataset dataset = make_dataset(folder);
  BatchLoader loader(dataset, 3, 10, 4, 0, 2);
  for (int step = 0; step < 2; ++step) {
    for (std::int64_t index = 0; index < loader.micro_batches(); ++index) loader.load(step * 10, index);
    EXPECT_EQ(loader.targets_of_step(), 5 * sequence);
  }
}

TEST(BatchLoader, RefusesMoreRanksThanSequences) {
  const TestFolder folder;
  const TokenDataset dataset = make_dataset(folder);
  EXPECT_THROW(BatchLoader(dataset, 3, 2, 1, 0, 3), UsageError);
}

}  // namespace
}  // namespace cola
