#include "io/tokens/tokenization.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "core/error.h"
#include "io/tokens/dataset.h"
#include "io/tokens/token_file_check.h"
#include "support/test_folder.h"

namespace cola {
namespace {

using Documents = std::multiset<std::string>;

struct Result {
  Documents train, validation;
  TokenizationCounts counts;
};

void no_progress(std::int64_t) {}
void none_left_out(const std::string& problem) {
  ADD_FAILURE() << problem;
}

class TokenizationTest : public ::testing::Test {
 protected:
  TokenizationTest() { options_.output = folder_.path("out"); }

  std::vector<WorkItem> plan(std::int64_t segment_bytes = std::int64_t{16} << 20) const {
    return plan_work(find_input_files(options_.inputs), options_.document_bytes, segment_bytes);
  }

  /// What `ranks` processes do together, one after another.
  Result tokenize(int ranks, std::int64_t segment_bytes = std::int64_t{16} << 20) {
    left_out_.clear();
    check_options(options_);
    std::filesystem::create_directories(options_.output);
    const auto items = plan(segment_bytes);
    std::vector<std::unique_ptr<CorpusTokenizer>> all;
    std::vector<RankSummary> summaries;
    for (int rank = 0; rank < ranks; ++rank) {
      all.push_back(std::make_unique<CorpusTokenizer>(*tokenizer_, options_, rank));
      for (const WorkItem& item : work_of_rank(items, rank, ranks))
        all.back()->process(item, no_progress, [&](const std::string& bad) { left_out_.insert(bad); });
      summaries.push_back(rank_summary_from_text(to_text(all.back()->summary())));
    }
    TokenizationCounts total;
    for (const RankSummary& summary : summaries) total += summary.counts;
    require_few_bad_documents(total, options_.skip_bad);
    const int holding_back = rank_holding_back(summaries, options_.validation_fraction);
    for (int rank = 0; rank < ranks; ++rank) all[static_cast<std::size_t>(rank)]->close(rank == holding_back);
    Result result;
    std::set<std::string> published;
    for (const auto& corpus : all) {
      for (const std::string& path : corpus->publish()) {
        published.insert(std::filesystem::path(path).filename().string());
        add_documents(path, path.find("train-") != std::string::npos ? result.train : result.validation);
      }
      result.counts += corpus->counts();
    }
    remove_other_token_files(options_.output, published);
    return result;
  }

  void add_documents(const std::string& path, Documents& documents) {
    const TokenFile file(path);
    EXPECT_TRUE(check_token_file(file).problems.empty()) << path;
    std::vector<std::int32_t> ids(static_cast<std::size_t>(file.tokens()));
    file.read(0, ids);
    for (auto begin = ids.begin(); begin != ids.end();) {
      const auto end = std::find(begin, ids.end(), 256);
      documents.insert(tokenizer_->decode(std::vector<std::int32_t>(begin, end)));
      begin = end + 1;
    }
  }

  /// A corpus of numbered one-line documents in several files, some compressed.
  void make_corpus(int documents) {
    std::map<std::string, std::string> files;
    for (int i = 0; i < documents; ++i)
      files["part" + std::to_string(i % 5 * (i % 3)) + ".jsonl"] +=
          "{\"text\": \"document " + std::to_string(i) + "\"}\n";
    for (const auto& [name, text] : files) options_.inputs.push_back(folder_.write(name, text));
  }

  std::string complaint() {
    try {
      check_options(options_);
      return "";
    } catch (const UsageError& error) {
      return error.what();
    }
  }

  /// The error with which `ranks` processes end, and whether one of them met it by itself.
  std::pair<std::string, bool> failure(int ranks) {
    options_.force = true;
    try {
      tokenize(ranks, 256);
      return {};
    } catch (const FileError& error) {
      return {error.what(), true};
    } catch (const UsageError& error) {
      return {error.what(), false};
    }
  }

  TestFolder folder_;
  TokenizationOptions options_;
  Documents left_out_;  // what is said of them
  std::unique_ptr<Tokenizer> tokenizer_ = make_byte_tokenizer();
};

TEST_F(TokenizationTest, EveryDocumentArrivesOnceWhateverTheNumberOfRanks) {
  make_corpus(1000);
  options_.validation_fraction = 0.1;
  const Result one = tokenize(1);
  EXPECT_EQ(one.train.size() + one.validation.size(), 1000u);
  EXPECT_NEAR(static_cast<double>(one.validation.size()), 100, 35);
  EXPECT_EQ(one.counts.documents, 1000);
  EXPECT_EQ(one.counts.validation_documents, static_cast<std::int64_t>(one.validation.size()));
  EXPECT_EQ(one.counts.tokens, one.counts.bytes + 1000);
  for (const int ranks : {2, 3, 20}) {
    options_.force = true;
    std::reverse(options_.inputs.begin(), options_.inputs.end());
    const Result several = tokenize(ranks, 256);
    EXPECT_EQ(several.train, one.train) << ranks;
    EXPECT_EQ(several.validation, one.validation) << ranks;
    EXPECT_EQ(several.counts.tokens, one.counts.tokens);
  }
}

TEST_F(TokenizationTest, BadDocumentsAreLeftOutWhateverTheNumberOfRanks) {
  const std::vector<std::string> bad{"{\"text\": 1}", "no JSON", "[]", "{\"txt\": \"a\"}"};
  std::string lines;
  Documents named;
  for (int line = 1; line <= 400; ++line) {
    const bool is_bad = line % 40 == 7;
    lines += is_bad ? bad[static_cast<std::size_t>(line / 40 % 4)]
                    : "{\"text\": \"document " + std::to_string(line) + "\"}";
    lines += "\n";
    if (is_bad) named.insert(folder_.path("a.jsonl") + ":" + std::to_string(line));
  }
  options_.inputs = {folder_.write("a.jsonl", lines)};
  options_.validation_fraction = 0.1;
  options_.skip_bad = 10;
  const Result one = tokenize(1, 256);
  EXPECT_EQ(one.counts.documents, 390);
  EXPECT_EQ(one.counts.bad_documents, 10);
  Documents places;
  for (const std::string& problem : left_out_) places.insert(problem.substr(0, problem.find(": ")));
  EXPECT_EQ(places, named);
  const Documents said = left_out_;
  options_.force = true;
  for (const int ranks : {2, 3, 20}) {
    const Result several = tokenize(ranks, 256);
    EXPECT_EQ(several.train, one.train) << ranks;
    EXPECT_EQ(several.validation, one.validation) << ranks;
    EXPECT_EQ(several.counts.bad_documents, 10);
    EXPECT_EQ(left_out_, said) << ranks;
  }
  tokenize(1);
  EXPECT_EQ(left_out_, said) << "lines count from the file's start, in one part or many";
}

TEST_F(TokenizationTest, MoreBadDocumentsThanAllowedAreAnErrorWhateverTheNumberOfRanks) {
  std::string lines;
  for (int line = 1; line <= 100; ++line)
    lines += line % 20 == 0 ? "bad\n" : "{\"text\": \"document " + std::to_string(line) + "\"}\n";
  options_.inputs = {folder_.write("a.jsonl", lines)};
  const std::string reason = ": not a JSON object: column 1: syntax error";
  EXPECT_NE(failure(1).first.find("a.jsonl:20" + reason), std::string::npos) << failure(1).first;
  EXPECT_EQ(failure(1).first.find("--skip-bad"), std::string::npos) << "nobody asked for it";
  options_.skip_bad = 4;
  const auto [alone, met_by_itself] = failure(1);
  EXPECT_TRUE(met_by_itself);
  EXPECT_NE(alone.find("a.jsonl:100" + reason), std::string::npos) << alone;
  EXPECT_NE(alone.find("; 4 bad documents were left out before"), std::string::npos) << alone;
  for (const int ranks : {2, 3, 20})
    EXPECT_EQ(failure(ranks),
              std::make_pair(
                  std::string("5 documents cannot be read, and --skip-bad 4 allows no more to be left out"),
                  false));
  options_.skip_bad = 5;
  for (const int ranks : {1, 2, 3, 20}) EXPECT_EQ(failure(ranks).first, "") << ranks;
}

TEST_F(TokenizationTest, ASmallCorpusHoldsOneDocumentBack) {
  make_corpus(20);
  options_.validation_fraction = 1e-9;
  const Result one = tokenize(1);
  EXPECT_EQ(one.validation.size(), 1u);
  EXPECT_EQ(one.train.size(), 19u);
  EXPECT_EQ(one.counts.validation_documents, 1);
  options_.force = true;
  const Result three = tokenize(3);
  EXPECT_EQ(three.validation, one.validation);
  EXPECT_EQ(three.train, one.train);
}

TEST_F(TokenizationTest, TwoDocumentsAreTrainingAndValidation) {
  options_.inputs = {folder_.write("a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n")};
  const Result result = tokenize(2);
  EXPECT_EQ(result.train.size(), 1u);
  EXPECT_EQ(result.validation.size(), 1u);
}

TEST_F(TokenizationTest, OneDocumentAndFractionZeroLeaveValidationEmpty) {
  options_.inputs = {folder_.write("a.txt", "only one\n")};
  EXPECT_TRUE(tokenize(1).validation.empty());
  options_.force = true;
  make_corpus(20);
  options_.validation_fraction = 0;
  const Result result = tokenize(2);
  EXPECT_EQ(result.train.size(), 21u);
  EXPECT_TRUE(result.validation.empty());
}

TEST_F(TokenizationTest, LargeTextFilesAreDividedAmongRanks) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "paragraph " + std::to_string(i) + "\n\n";
  options_.inputs = {folder_.write("a.txt", text)};
  options_.document_bytes = 100;
  const auto items = plan(4096);
  EXPECT_GT(items.size(), 10u);
  const Result one = tokenize(1, 4096);
  options_.force = true;
  const Result three = tokenize(3, 4096);
  EXPECT_EQ(one.train, three.train);
  EXPECT_EQ(one.validation, three.validation);
  EXPECT_EQ(three.counts.bytes, static_cast<std::int64_t>(text.size()));
}

TEST_F(TokenizationTest, WorkIsDealtOutEvenlyAndCompletely) {
  std::vector<WorkItem> items;
  for (int i = 0; i < 50; ++i) items.push_back({{"file" + std::to_string(i)}, 1 + (i * 37) % 100});
  std::multiset<std::string> dealt;
  std::int64_t least = 1 << 30, most = 0;
  for (int rank = 0; rank < 4; ++rank) {
    std::int64_t load = 0;
    for (const WorkItem& item : work_of_rank(items, rank, 4)) {
      dealt.insert(item.segment.path);
      load += item.cost;
    }
    least = std::min(least, load);
    most = std::max(most, load);
  }
  EXPECT_EQ(dealt.size(), 50u);
  EXPECT_EQ(std::set<std::string>(dealt.begin(), dealt.end()).size(), 50u);
  EXPECT_LE(most - least, 5);
  EXPECT_TRUE(work_of_rank({}, 0, 2).empty());
}

TEST_F(TokenizationTest, InputFilesSurviveAsText) {
  const std::vector<InputFile> files{{"a b/c.txt", 5}, {"new\nline \xE9.jsonl.gz", 0}};
  EXPECT_EQ(input_files_from_text(to_text(files)), files);
  EXPECT_TRUE(input_files_from_text("").empty());
  EXPECT_THROW(input_files_from_text("nonsense"), Error);
}

TEST_F(TokenizationTest, AFileThatShrankSinceItWasPlannedIsAnError) {
  const std::string lines = "{\"text\": \"one\"}\n{\"text\": \"two\"}\n";
  options_.inputs = {folder_.write("a.jsonl", lines)};
  std::filesystem::create_directories(options_.output);
  const WorkItem item = plan().at(0);
  CorpusTokenizer corpus(*tokenizer_, options_, 0);
  folder_.write("a.jsonl", lines + "{\"text\": \"later\"}\n");
  corpus.process(item, no_progress, none_left_out);
  EXPECT_EQ(corpus.counts().documents, 2) << "what was appended is not in the plan";
  folder_.write("a.jsonl", lines.substr(0, lines.size() / 2));
  try {
    corpus.process(item, no_progress, none_left_out);
    FAIL();
  } catch (const FileError& error) {
    EXPECT_EQ(error.what(),
              fmt::format("{}: has 16 bytes, but had 32 when the work began", folder_.path("a.jsonl")));
  }
}

TEST_F(TokenizationTest, DocumentPackingMakesRows) {
  options_.inputs = {folder_.write("a.jsonl", "{\"text\": \"abc\"}\n{\"text\": \"abcdefghijk\"}\n")};
  options_.packing = Packing::document;
  options_.sequence_length = 8;
  options_.validation_fraction = 0;
  check_options(options_);
  std::filesystem::create_directories(options_.output);
  CorpusTokenizer corpus(*tokenizer_, options_, 0);
  for (const WorkItem& item : plan()) corpus.process(item, no_progress, none_left_out);
  corpus.close(false);
  const TokenDataset dataset(corpus.publish(), 8, 258);
  EXPECT_EQ(dataset.samples(), 2);
  EXPECT_EQ(corpus.counts().tokens, 16);
  EXPECT_EQ(corpus.counts().cut_tokens, 3);
  EXPECT_EQ(rank_summary_from_text(to_text(corpus.summary())).counts.cut_tokens, 3);
}

TEST_F(TokenizationTest, TheSameFileTwiceIsOneFile) {
  make_corpus(3);
  options_.inputs.push_back(folder_.path("./part0.jsonl"));
  EXPECT_EQ(tokenize(1).counts.documents, 3);
}

TEST_F(TokenizationTest, OldFilesAreKeptUnlessForcedAndThenAllReplaced) {
  make_corpus(100);
  tokenize(5);
  EXPECT_NE(complaint().find("holds token files already (train-00000.h5)"), std::string::npos) << complaint();
  options_.force = true;
  const Result again = tokenize(1);
  EXPECT_EQ(find_token_files({options_.output + "/*.h5"}).size(), 2u)
      << "none of the five ranks' files is left";
  EXPECT_EQ(again.counts.documents, 100);
}

TEST_F(TokenizationTest, LeftoversOfAKilledRunAreRemoved) {
  std::filesystem::create_directories(options_.output);
  folder_.write("out/train-00007.h5.tmp", "half");
  folder_.write("out/notes.tmp", "mine");
  remove_unfinished_files(options_.output);
  EXPECT_FALSE(std::filesystem::exists(folder_.path("out/train-00007.h5.tmp")));
  EXPECT_TRUE(std::filesystem::exists(folder_.path("out/notes.tmp")));
}

TEST_F(TokenizationTest, RefusesWhatCannotBe) {
  EXPECT_NE(complaint().find("no input files"), std::string::npos);
  options_.inputs = {folder_.path("none.txt")};
  EXPECT_NE(complaint().find("none.txt: no such file"), std::string::npos);
  options_.inputs = {folder_.write("a.csv", "x")};
  EXPECT_NE(complaint().find("a.csv: unknown kind of file"), std::string::npos);
  options_.inputs = {folder_.path("")};
  EXPECT_NE(complaint().find("is a folder"), std::string::npos);
  options_.inputs = {folder_.write("a.txt", "x")};
  EXPECT_EQ(complaint(), "");
  options_.skip_bad = -1;
  EXPECT_EQ(complaint(), "--skip-bad -1 is negative");
  options_.skip_bad = 0;
  options_.validation_fraction = 1.0;
  EXPECT_NE(complaint().find("[0, 1)"), std::string::npos);
  options_.validation_fraction = 0.5;
  options_.output = options_.inputs[0];
  EXPECT_NE(complaint().find("must be a folder"), std::string::npos);
}

TEST(ValidationSplit, TakesTheLowestPartOfTheHashes) {
  EXPECT_TRUE(belongs_to_validation(0, 0.01));
  EXPECT_FALSE(belongs_to_validation(0, 0));
  EXPECT_FALSE(belongs_to_validation(~0ull, 0.999999));
  EXPECT_TRUE(belongs_to_validation(1ull << 62, 0.2501));
  EXPECT_FALSE(belongs_to_validation(1ull << 62, 0.25));
}

TEST(RankSummaries, ChooseTheSmallestHashOnlyWhereItIsNeeded) {
  const auto summary = [](std::int64_t documents, std::int64_t validation,
                          std::optional<std::uint64_t> hash) {
    RankSummary made;
    made.counts.documents = documents;
    made.counts.validation_documents = validation;
    made.smallest_hash = hash;
    return rank_summary_from_text(to_text(made));
  };
  const std::vector<RankSummary> none{summary(5, 0, 70), summary(0, 0, std::nullopt),
                                      summary(9, 0, ~0ull - 1), summary(2, 0, 7)};
  EXPECT_EQ(rank_holding_back(none, 0.01), 3);
  EXPECT_EQ(rank_holding_back(none, 0), -1);
  EXPECT_EQ(rank_holding_back(std::vector{summary(5, 0, 70), summary(5, 1, std::nullopt)}, 0.01), -1);
  EXPECT_EQ(rank_holding_back(std::vector{summary(1, 0, 70)}, 0.01), -1);
  EXPECT_EQ(rank_holding_back(std::vector{summary(1, 0, 70), summary(1, 0, 70)}, 0.01), 0);
  EXPECT_THROW(rank_summary_from_text("nonsense"), Error);
}

}  // namespace
}  // namespace cola
