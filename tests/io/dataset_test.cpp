#include "io/tokens/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/error.h"
#include "io/tokens/blended_order.h"
#include "io/tokens/token_file.h"
#include "support/test_folder.h"

namespace cola {
namespace {

using Ids = std::vector<std::int32_t>;

struct Sample {
  Ids inputs, targets;
};

Sample read(const TokenDataset& dataset, std::int64_t index) {
  const auto length = static_cast<std::size_t>(dataset.sequence_length());
  Sample sample{Ids(length, -7), Ids(length, -7)};
  dataset.read(index, sample.inputs, sample.targets);
  return sample;
}

class DatasetTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::vector<Ids>& documents,
                    TokenFileAttributes attributes) {
    TokenFileWriter writer(folder_.path(name), attributes);
    for (const Ids& document : documents) writer.append(document);
    writer.close();
    writer.publish();
    return folder_.path(name);
  }
  std::string packed(const std::string& name, const std::vector<Ids>& documents,
                     std::int64_t vocab_size = 258) {
    return write(name, documents, {vocab_size, 256, 257, "bytes", Packing::packed, 0});
  }
  std::string rows(const std::string& name, const std::vector<Ids>& documents, std::int64_t length,
                   std::int64_t pad_id) {
    return write(name, documents, {258, 256, pad_id, "bytes", Packing::document, length});
  }
  template <typename Failure>
  std::string failure(const std::vector<std::string>& files, std::int64_t length, std::int64_t vocab_size) {
    try {
      const TokenDataset dataset(files, length, vocab_size);
      return "";
    } catch (const Failure& error) {
      return error.what();
    }
  }

  TestFolder folder_;
};

TEST_F(DatasetTest, PackedTargetsAreTheInputsMovedByOne) {
  const TokenDataset dataset({packed("a.h5", {{1, 2, 3}, {4, 5}, {6, 7}})}, 4, 258);  // 1 2 3 E 4 5 E 6 7 E
  ASSERT_EQ(dataset.samples(), 2);
  EXPECT_EQ(dataset.tokens(), 10);
  EXPECT_EQ(read(dataset, 0).inputs, (Ids{1, 2, 3, 256}));
  EXPECT_EQ(read(dataset, 0).targets, (Ids{2, 3, 256, 4}));
  EXPECT_EQ(read(dataset, 1).inputs, (Ids{4, 5, 256, 6}));
  EXPECT_EQ(read(dataset, 1).targets, (Ids{5, 256, 6, 7}));
  EXPECT_THROW(read(dataset, 2), Error);
  EXPECT_THROW(read(dataset, -1), Error);
}

TEST_F(DatasetTest, ALastTargetNeedsATokenOfItsOwn) {
  EXPECT_EQ(TokenDataset({packed("a.h5", {Ids(7, 1)})}, 4, 258).samples(), 1);  // 8 tokens
  EXPECT_EQ(TokenDataset({packed("b.h5", {Ids(8, 1)})}, 4, 258).samples(), 2);  // 9 tokens
}

TEST_F(DatasetTest, FilesFollowOneAnother) {
  const TokenDataset dataset(
      {packed("a.h5", {{1, 2, 3, 4}}), packed("short.h5", {{9}}), packed("b.h5", {{5, 6, 7, 8}})}, 2, 300);
  ASSERT_EQ(dataset.samples(), 4);
  EXPECT_EQ(read(dataset, 1).targets, (Ids{4, 256}));
  EXPECT_EQ(read(dataset, 2).inputs, (Ids{5, 6}));
  EXPECT_EQ(read(dataset, 3).targets, (Ids{8, 256}));
  EXPECT_EQ(dataset.tokens(), 12);
  EXPECT_EQ(dataset.corpora().front().sample_bytes, 4);
}

TEST_F(DatasetTest, DocumentRowsIgnorePaddingAndTheLastTarget) {
  const TokenDataset dataset({rows("a.h5", {{1, 2}, {1, 2, 3}, {1, 2, 3, 4, 5}}, 4, 257)}, 4, 258);
  ASSERT_EQ(dataset.samples(), 3);
  EXPECT_EQ(read(dataset, 0).inputs, (Ids{1, 2, 256, 257}));
  EXPECT_EQ(read(dataset, 0).targets, (Ids{2, 256, -1, -1}));
  EXPECT_EQ(read(dataset, 1).inputs, (Ids{1, 2, 3, 256}));
  EXPECT_EQ(read(dataset, 1).targets, (Ids{2, 3, 256, -1}));
  EXPECT_EQ(read(dataset, 2).inputs, (Ids{1, 2, 3, 4}));
  EXPECT_EQ(read(dataset, 2).targets, (Ids{2, 3, 4, -1}));
}

TEST_F(DatasetTest, TheEndIsATargetEvenWhereItAlsoPads) {
  const TokenDataset dataset({rows("a.h5", {{1, 2}, {1, 2, 3}, {1, 2, 3, 4}, {1}}, 4, 256)}, 4, 258);
  EXPECT_EQ(read(dataset, 0).inputs, (Ids{1, 2, 256, 256}));
  EXPECT_EQ(read(dataset, 0).targets, (Ids{2, 256, -1, -1}));
  EXPECT_EQ(read(dataset, 1).targets, (Ids{2, 3, 256, -1}));
  EXPECT_EQ(read(dataset, 2).targets, (Ids{2, 3, 4, -1}));
  EXPECT_EQ(read(dataset, 3).targets, (Ids{256, -1, -1, -1}));
}

/// Bytes and calls of all reads of this process so far, as Linux counts them; nothing where it does not.
struct ReadCounters {
  std::int64_t bytes = -1, calls = -1;
};
ReadCounters read_counters() {
  ReadCounters counters;
  std::ifstream file("/proc/self/io");
  std::string name;
  for (std::int64_t value = 0; file >> name >> value;) {
    if (name == "rchar:") counters.bytes = value;
    if (name == "syscr:") counters.calls = value;
  }
  return counters;
}

// 100 MiB of tokens in two files: more than is kept, each token telling its place.
std::vector<std::string> write_counted_files(const TestFolder& folder) {
  std::vector<std::string> files;
  for (const std::int32_t file : {0, 1}) {
    files.push_back(folder.path(std::to_string(file) + ".h5"));
    TokenFileWriter writer(files.back(), {70000, 0, 0, "count", Packing::packed, 0});
    Ids document(999'999);
    for (std::int32_t block = 0; block < 13; ++block) {
      for (std::int32_t i = 0; i < 999'999; ++i)
        document[static_cast<std::size_t>(i)] = (block * 7 + i + file) % 69997;
      writer.append(document);
    }
    writer.close();
    writer.publish();
  }
  return files;
}

TEST_F(DatasetTest, ReadsAcrossRunsAndInAnyOrder) {
  constexpr std::int64_t length = 300;
  const TokenDataset dataset(write_counted_files(folder_), length, 70000);
  const std::int64_t samples_of_one = (13'000'000 - 1) / length;
  ASSERT_EQ(dataset.samples(), 2 * samples_of_one);
  const SampleOrder order(1, dataset.samples(), dataset.corpora().front().sample_bytes);
  const auto token = [](std::int64_t file, std::int64_t place) {
    const std::int64_t block = place / 1'000'000, i = place % 1'000'000;
    return static_cast<std::int32_t>(i == 999'999 ? 0 : (block * 7 + i + file) % 69997);
  };
  const ReadCounters before = read_counters();
  for (std::int64_t position = 0; position < dataset.samples(); position += 3) {
    const std::int64_t index = order.at(position), file = index / samples_of_one;
    const std::int64_t place = index % samples_of_one * length;
    const Sample sample = read(dataset, index);
    for (const std::int64_t i : {std::int64_t{0}, length / 2, length - 1}) {
      ASSERT_EQ(sample.inputs[static_cast<std::size_t>(i)], token(file, place + i)) << index << " " << i;
      ASSERT_EQ(sample.targets[static_cast<std::size_t>(i)], token(file, place + i + 1)) << index << " " << i;
    }
  }
  const ReadCounters after = read_counters();
  if (before.bytes < 0 || after.bytes < 0) return;
  EXPECT_LT(after.bytes - before.bytes, 3 * dataset.tokens() * 4) << "shuffled samples share their runs";
  EXPECT_LT(after.calls - before.calls, 400) << "runs are read whole";
}

// Ten corpora, one of which is read as often as the other nine: what each was read last stays.
TEST_F(DatasetTest, ReadsNoMoreOfABlendThanOfOneCorpus) {
  constexpr std::int64_t length = 300, corpora = 10;
  std::vector<TokenFileLayout> layouts = read_token_file_layouts(write_counted_files(folder_));
  for (std::size_t i = 2; i < corpora; ++i) layouts.push_back(layouts[i % 2]);
  std::vector<Corpus> blended(corpora, {.weight = 1, .files = 1});
  blended[3].weight = corpora - 1;
  const TokenDataset dataset(layouts, blended, length, 70000);
  const BlendedOrder order(1, dataset.corpora());
  const ReadCounters before = read_counters();
  constexpr std::int64_t positions = 80000;  // an epoch of one corpus nearly, a tenth of one of the others
  for (std::int64_t position = 0; position < positions; position += 2) read(dataset, order.at(position));
  const ReadCounters after = read_counters();
  if (before.bytes < 0 || after.bytes < 0) return;
  // A run lies in two blocks and is read for each; a corpus that is read slowly has a window of 6 blocks
  // open.
  const std::int64_t blocks = positions * length * 4 / (1 << 20) + (corpora - 1) * 6;
  EXPECT_LT(after.bytes - before.bytes, blocks * 3 << 20) << "shuffled samples share their runs";
  EXPECT_LT(after.calls - before.calls, blocks * 3) << "runs are read whole";
}

TEST_F(DatasetTest, CountsEachCorpus) {
  const auto layouts = read_token_file_layouts(
      {packed("a.h5", {{1, 2, 3, 4}}), packed("short.h5", {{9}}), packed("b.h5", {{5, 6, 7, 8}})});
  const TokenDataset dataset(layouts, {{.name = "a", .files = 1}, {.weight = 3, .files = 2}}, 2, 300);
  ASSERT_EQ(dataset.corpora().size(), 2u);
  const Corpus &a = dataset.corpora()[0], &b = dataset.corpora()[1];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(b.name, folder_.path("short.h5"));
  EXPECT_EQ(b.weight, 3);
  EXPECT_EQ(a.samples, 2);
  EXPECT_EQ(b.samples, 2);
  EXPECT_EQ(b.tokens, 7);
  EXPECT_EQ(b.sample_bytes, 4);
  EXPECT_EQ(dataset.samples(), 4);
  EXPECT_EQ(dataset.tokens(), 12);
  EXPECT_EQ(read(dataset, 2).inputs, (Ids{5, 6}));
}

TEST_F(DatasetTest, NamesACorpusThatHasNoSample) {
  const auto layouts =
      read_token_file_layouts({packed("good.h5", {Ids(100, 1)}), packed("tiny.h5", {{1, 2}})});
  try {
    const TokenDataset dataset(layouts, {{.files = 1}, {.name = "tiny-*.h5", .files = 1}}, 4, 258);
    FAIL() << "taken";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "tiny-*.h5: too short for a single sample (3 tokens in 1 files, one needs 5)");
  }
  EXPECT_THROW(TokenDataset(layouts, {{.files = 3}}, 4, 258), Error);
}

TEST_F(DatasetTest, ServesSeveralThreads) {
  std::vector<Ids> documents;
  for (std::int32_t i = 0; i < 64; ++i) documents.push_back(Ids(9999, i));
  const TokenDataset dataset({packed("a.h5", documents)}, 100, 258);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (std::int64_t i = 0; i < dataset.samples(); ++i)
        wrong[t] += read(dataset, (i * 17 + static_cast<std::int64_t>(t)) % dataset.samples()).inputs[0] !=
                    ((i * 17 + static_cast<std::int64_t>(t)) % dataset.samples()) / 100;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST_F(DatasetTest, RefusesFilesThatDoNotFit) {
  const std::string good = packed("good.h5", {Ids(100, 1)}), other = packed("other.h5", {Ids(100, 1)}, 300);
  const std::string row_file = rows("rows.h5", {{1}}, 8, 257), tiny = packed("tiny.h5", {{1, 2}});
  EXPECT_NE(failure<UsageError>({good}, 4, 257).find("good.h5: its vocabulary of 258"), std::string::npos);
  EXPECT_NE(failure<UsageError>({good, other}, 4, 1000).find("other.h5: tokenizer"), std::string::npos);
  EXPECT_NE(failure<UsageError>({row_file}, 4, 258).find("a row of 8 tokens, but sequence_length is 4"),
            std::string::npos);
  EXPECT_NE(failure<UsageError>({tiny}, 4, 258).find("tiny.h5: too short"), std::string::npos);
  EXPECT_EQ(failure<UsageError>({tiny, good}, 4, 258), "") << "a small share of one rank does not stop a run";
  EXPECT_NE(failure<FileError>({folder_.path("none.h5")}, 4, 258).find("none.h5"), std::string::npos);
  EXPECT_NE(failure<UsageError>({}, 4, 258), "");
}

TEST_F(DatasetTest, FindsFilesByPatternInOrderAndOnce) {
  for (const char* name : {"train-00010.h5", "train-00002.h5", "validation-00000.h5", "train-00003.h5.tmp"})
    folder_.write(name, "x");
  std::filesystem::create_directory(folder_.path("train-folder.h5"));
  const auto found = find_token_files(
      {folder_.path("validation-00000.h5"), folder_.path("train-*.h5"), folder_.path("./train-00002.h5")});
  EXPECT_EQ(found,
            (std::vector<std::string>{folder_.path("validation-00000.h5"), folder_.path("train-00002.h5"),
                                      folder_.path("train-00010.h5")}));
  const std::string bracketed = folder_.write("part[1].h5", "x");
  EXPECT_EQ(find_token_files({bracketed}), std::vector<std::string>{bracketed});
  for (const char* pattern : {"nothing-*.h5", "nothing.h5"}) {
    try {
      find_token_files({folder_.path("train-*.h5"), folder_.path(pattern)});
      FAIL() << pattern;
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find(pattern), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace cola
