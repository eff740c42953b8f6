#include "train/token_data.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <mutex>
#include <numeric>

#include "core/error.h"
#include "dist/forwarding_communicator.h"
#include "support/test_folder.h"
#include "train/agreement.h"

namespace cola {
namespace {

class TokenData : public ::testing::Test {
 protected:
  TokenData() {
    configuration_.data.sequence_length = 8;
    configuration_.model.vocab_size = 100;
    for (const char* name : {"a.h5", "b.h5"}) write(name, "test", 50);
  }
  void write(const std::string& name, const std::string& tokenizer, std::size_t tokens) const {
    TokenFileWriter writer(folder_.path(name), {100, 1, 0, tokenizer, Packing::packed});
    std::vector<std::int32_t> ids(tokens);
    std::iota(ids.begin(), ids.end(), 2);
    writer.append(ids);
    writer.close();
    writer.publish();
  }
  DataRecord record_of(const std::vector<std::string>& names) {
    configuration_.data.train.clear();
    for (const std::string& name : names) configuration_.data.train.push_back(folder_.path(name));
    configuration_.data.validation = {folder_.path("a.h5")};
    return open_run_data(configuration_, *make_self_communicator()).record;
  }
  std::string refusal(const std::vector<std::string>& names) {
    try {
      record_of(names);
    } catch (const UsageError& error) {
      return error.what();
    }
    return {};
  }
  RunConfiguration configuration_;
  TestFolder folder_;
};

TEST_F(TokenData, LayoutsSurviveAsText) {
  const auto layouts = read_token_file_layouts({folder_.path("a.h5"), folder_.path("b.h5")});
  EXPECT_EQ(layouts_from_text(to_text(layouts)), layouts);
  EXPECT_EQ(layouts[0].tokens.size, 51);
}

TEST_F(TokenData, NamesThatAreNoUtf8SurviveAsText) {
  const std::string name = "caf\xE9 \xC3\xA9\x80\xFF\".h5";
  write(name, "caf\xE9.model xxh3:0123456789abcdef", 50);
  const auto layouts = read_token_file_layouts({folder_.path(name)});
  EXPECT_EQ(layouts_from_text(to_text(layouts)), layouts);
  EXPECT_EQ(layouts[0].path, folder_.path(name));
  EXPECT_EQ(layouts[0].attributes.tokenizer, "caf\xEF\xBF\xBD.model xxh3:0123456789abcdef");
}

TEST_F(TokenData, IsTheSameOnAllRanks) {
  run_on_threads(3, [&](Communicator& world) {
    const TokenDataset data = open_token_data("data.train", {folder_.path("*.h5")}, configuration_, world);
    EXPECT_EQ(data.samples(), 12);
    std::vector<std::int32_t> inputs(8), targets(8);
    data.read(7, inputs, targets);
    EXPECT_EQ(inputs[0], 10);
    EXPECT_EQ(targets[7], 18);
  });
}

// A file is opened by the ranks that read from it, when they do.
TEST_F(TokenData, IsOpenedWhenItIsRead) {
  const auto layouts = read_token_file_layouts({folder_.path("a.h5"), folder_.path("b.h5")});
  const TokenDataset data(layouts, 8, 100);
  std::filesystem::remove(folder_.path("b.h5"));
  std::vector<std::int32_t> inputs(8), targets(8);
  data.read(0, inputs, targets);
  EXPECT_THROW(data.read(11, inputs, targets), FileError);
}

// Hands on every call, and does something to a file once its layout was told, before other nodes look for it.
class MeddlingCommunicator final : public ForwardingCommunicator {
 public:
  MeddlingCommunicator(Communicator& real, std::string file, std::function<void(const std::string&)> action)
      : ForwardingCommunicator(real), file_(std::move(file)), action_(std::move(action)) {}

  std::vector<std::string> all_gather(const std::string& text) override {
    std::vector<std::string> texts = host().all_gather(text);
    if (texts[0].find(file_) != std::string::npos) action_(file_);
    return texts;
  }
  std::unique_ptr<PendingCollective> start_reduce_scatter(std::span<float> values,
                                                          std::span<float> sum) override {
    return host().start_reduce_scatter(values, sum);
  }
  std::unique_ptr<PendingCollective> start_all_reduce(std::span<float> values) override {
    return host().start_all_reduce(values);
  }
  std::unique_ptr<PendingCollective> start_all_gather(std::span<std::byte> bytes) override {
    return host().start_all_gather(bytes);
  }
  std::unique_ptr<Communicator> split(int color) override { return host().split(color); }

 private:
  std::string file_;
  std::function<void(const std::string&)> action_;
};

// With a copy of another time, once: the next would get the number that the first file leaves free.
void replace(const std::string& file) {
  using namespace std::chrono_literals;
  static std::once_flag first;
  std::call_once(first, [&] {
    const std::string copy = file + ".copy";
    std::filesystem::copy_file(file, copy);
    std::filesystem::last_write_time(copy, std::filesystem::file_time_type(1000000000s));
    std::filesystem::rename(copy, file);
  });
}

// Four ranks on two nodes, of which the second does not see a file.
TEST_F(TokenData, IsLookedForByOneRankOfEveryOtherNode) {
  std::atomic<int> refused = 0;
  run_on_threads(4, [&](Communicator& world) {
    MeddlingCommunicator forgetful(world, folder_.path("b.h5"),
                                   [](const std::string& file) { std::filesystem::remove(file); });
    try {
      open_token_data("data.train", {folder_.path("*.h5")}, configuration_, forgetful,
                      world.rank() < 2 ? "n0" : "n1");
    } catch (const RankError& error) {
      EXPECT_EQ(error.rank, 2);
      EXPECT_NE(std::string(error.what()).find("b.h5"), std::string::npos) << error.what();
      ++refused;
    }
  });
  EXPECT_EQ(refused, 4);
}

// The second node's copy of a file has another time, which counts there; on the first one it was replaced.
TEST_F(TokenData, IsReadOnEveryNodeAsItsFirstRankSawIt) {
  std::atomic<int> read = 0, refused = 0;
  run_on_threads(4, [&](Communicator& world) {
    MeddlingCommunicator meddling(world, folder_.path("b.h5"), replace);
    const TokenDataset data = open_token_data("data.train", {folder_.path("*.h5")}, configuration_, meddling,
                                              world.rank() < 2 ? "n0" : "n1");
    std::vector<std::int32_t> inputs(8), targets(8);
    data.read(0, inputs, targets);
    try {
      data.read(11, inputs, targets);
      EXPECT_GE(world.rank(), 2);
      ++read;
    } catch (const FileError& error) {
      EXPECT_LT(world.rank(), 2);
      EXPECT_EQ(error.what(), folder_.path("b.h5") + ": was replaced since the run began");
      ++refused;
    }
  });
  EXPECT_EQ(read, 2);
  EXPECT_EQ(refused, 2);
}

TEST_F(TokenData, IsOfTheSameSizeOnEveryNode) {
  std::atomic<int> refused = 0;
  run_on_threads(2, [&](Communicator& world) {
    MeddlingCommunicator meddling(world, folder_.path("b.h5"), [](const std::string& file) {
      std::filesystem::resize_file(file, 1000000);
    });
    try {
      open_token_data("data.train", {folder_.path("*.h5")}, configuration_, meddling,
                      "n" + std::to_string(world.rank()));
    } catch (const RankError& error) {
      EXPECT_EQ(error.rank, 1);
      EXPECT_NE(std::string(error.what()).find("b.h5: has 1000000 bytes, but "), std::string::npos)
          << error.what();
      ++refused;
    }
  });
  EXPECT_EQ(refused, 2);
}

TEST_F(TokenData, IsKnownByItsFilesSizesAndTokenizer) {
  const DataRecord record = record_of({"a.h5", "b.h5"});
  EXPECT_EQ(record.files, 2);
  EXPECT_EQ(record.tokens, 102);
  EXPECT_EQ(record.samples, 12);
  EXPECT_EQ(record.tokenizer, "test");
  EXPECT_NE(record_of({"b.h5", "a.h5"}), record);
  std::filesystem::create_directory(folder_.path("moved"));
  for (const char* name : {"a.h5", "b.h5"})
    std::filesystem::copy(folder_.path(name), folder_.path("moved/") + name);
  EXPECT_EQ(record_of({"moved/*.h5"}), record);
  write("b.h5", "test", 51);
  EXPECT_NE(record_of({"a.h5", "b.h5"}), record);
}

TEST_F(TokenData, MakesEveryEntryACorpusWhereThereAreWeights) {
  write("c.h5", "test", 90);
  configuration_.data = {{folder_.path("[ab].h5"), folder_.path("c.h5")}, {folder_.path("a.h5")}, {3, 1}, 8};
  run_on_threads(3, [&](Communicator& world) {
    const RunData data = open_run_data(configuration_, world);
    const std::vector<Corpus>& corpora = data.training.corpora();
    ASSERT_EQ(corpora.size(), 2u);
    EXPECT_EQ(corpora[0].name, folder_.path("[ab].h5"));
    EXPECT_EQ(corpora[0].weight, 3);
    EXPECT_EQ(corpora[0].files, 2);
    EXPECT_EQ(corpora[0].samples, 12);
    EXPECT_EQ(corpora[1].name, folder_.path("c.h5"));
    EXPECT_EQ(corpora[1].weight, 1);
    EXPECT_EQ(corpora[1].tokens, 91);
    EXPECT_EQ(corpora[1].samples, 11);
    EXPECT_EQ(data.validation.corpora().size(), 1u);
    EXPECT_EQ(data.record.corpora, (std::vector<CorpusRecord>{{2, 1610612736}, {1, 536870912}}));
  });
}

TEST_F(TokenData, RecordsTheBlend) {
  write("c.h5", "test", 90);
  const DataRecord alone = record_of({"a.h5"}), together = record_of({"[ab].h5", "c.h5"});
  EXPECT_TRUE(together.corpora.empty());
  configuration_.data.weights = {5};
  EXPECT_EQ(record_of({"a.h5"}), alone) << "a single corpus, whatever its weight";
  configuration_.data.weights = {0.75, 0.25};
  const DataRecord blended = record_of({"[ab].h5", "c.h5"});
  EXPECT_EQ(blended.checksum, together.checksum) << "the same files in the same order";
  EXPECT_NE(blended, together);
  EXPECT_NE(record_of({"a.h5", "[bc].h5"}), blended) << "other groups of them";
  configuration_.data.weights = {3, 1};
  EXPECT_EQ(record_of({"[ab].h5", "c.h5"}), blended);
  configuration_.data.weights = {1, 3};
  EXPECT_NE(record_of({"[ab].h5", "c.h5"}), blended);
}

TEST_F(TokenData, RefusesAFileOfTwoCorporaAndACorpusWithoutASample) {
  write("tiny.h5", "test", 5);
  configuration_.data.weights = {1, 1};
  const std::string folder = folder_.path("");
  EXPECT_EQ(refusal({"a.h5", "*.h5"}),
            fmt::format("data.train: {0}a.h5 is matched by '{0}a.h5' and by '{0}*.h5'; with data.weights a "
                        "file belongs to one of them",
                        folder));
  std::filesystem::create_symlink(folder_.path("a.h5"), folder_.path("link.h5"));
  EXPECT_NE(refusal({"a.h5", "link.h5"}).find("link.h5 is matched by"), std::string::npos);
  EXPECT_EQ(refusal({"a.h5", "tiny.*"}),
            folder + "tiny.*: too short for a single sample (6 tokens in 1 files, one needs 9)");
  configuration_.data.weights.clear();
  EXPECT_EQ(refusal({"a.h5", "*.h5"}), "") << "read as one, each file counts once";
}

TEST_F(TokenData, RefusesValidationFilesOfAnotherTokenizerOnAllRanks) {
  write("other.h5", "another", 50);
  configuration_.data.train = {folder_.path("a.h5")};
  configuration_.data.validation = {folder_.path("other.h5")};
  std::atomic<int> refused = 0;
  run_on_threads(2, [&](Communicator& world) {
    try {
      open_run_data(configuration_, world);
    } catch (const UsageError& error) {
      EXPECT_EQ(error.what(), fmt::format("data.validation: {} has tokenizer 'another' (100 ids), but {} of "
                                          "data.train has 'test' (100 ids)",
                                          folder_.path("other.h5"), folder_.path("a.h5")));
      ++refused;
    }
  });
  EXPECT_EQ(refused, 2);
}

TEST_F(TokenData, NamesTheKeyOfAFileThatTheSystemDoesNotShow) {
  const std::string loop = folder_.path("loop.h5"), long_name = folder_.path(std::string(300, 'a') + ".h5");
  std::filesystem::create_symlink("loop.h5", loop);
  for (const std::string& path : {loop, long_name}) {
    try {
      open_token_data("data.validation", {path}, configuration_, *make_self_communicator());
      ADD_FAILURE() << path;
    } catch (const UsageError& error) {
      const std::string message = error.what();
      EXPECT_TRUE(message.starts_with("data.validation: " + path + ": cannot be looked at: ")) << message;
    }
  }
}

TEST_F(TokenData, FailsOnAllRanksAlike) {
  std::atomic<int> refused = 0;
  run_on_threads(3, [&](Communicator& world) {
    try {
      open_token_data("data.train", {folder_.path("none-*.h5")}, configuration_, world);
    } catch (const UsageError& error) {
      EXPECT_EQ(error.what(),
                fmt::format("data.train: no token file matches '{}'", folder_.path("none-*.h5")));
      ++refused;
    }
  });
  EXPECT_EQ(refused, 3);
}

}  // namespace
}  // namespace cola
