#include "io/tokens/tokenizer.h"

#include <gtest/gtest.h>
#include <sentencepiece_trainer.h>

#include <filesystem>

#include "core/error.h"
#include "support/test_folder.h"

namespace cola {
namespace {

using Ids = std::vector<std::int32_t>;

TEST(ByteTokenizer, IdsAreTheBytes) {
  const auto tokenizer = make_byte_tokenizer();
  EXPECT_EQ(tokenizer->vocab_size(), 258);
  EXPECT_EQ(tokenizer->eos_id(), 256);
  EXPECT_EQ(tokenizer->pad_id(), 257);
  EXPECT_EQ(tokenizer->identity(), "bytes");
  EXPECT_EQ(tokenizer->encode("Az\n\xFF"), (Ids{65, 122, 10, 255}));
  EXPECT_EQ(tokenizer->encode(""), Ids{});
}

TEST(ByteTokenizer, GivesEveryByteBack) {
  const auto tokenizer = make_byte_tokenizer();
  std::string text;
  for (int byte = 0; byte < 256; ++byte) text.push_back(static_cast<char>(byte));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  EXPECT_EQ(tokenizer->decode(Ids{72, 256, 105, 257, 257}), "Hi");
  EXPECT_THROW(tokenizer->decode(Ids{258}), Error);
  EXPECT_THROW(tokenizer->decode(Ids{-1}), Error);
}

class SentencePieceTest : public ::testing::Test {
 protected:
  /// Trains a tiny model on made-up sentences.
  std::string train(const std::string& name, const std::string& options) {
    std::string corpus;
    for (int i = 0; i < 400; ++i)
      corpus +=
          "the number " + std::to_string(i * i) + " follows the number " + std::to_string(i) + " here\n";
    folder_.write("corpus.txt", corpus);
    const auto status = sentencepiece::SentencePieceTrainer::Train(
        "--input=" + folder_.path("corpus.txt") + " --model_prefix=" + folder_.path(name) +
        " --vocab_size=60 --minloglevel=2 " + options);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return folder_.path(name + ".model");
  }
  static std::string complaint(const std::string& path) {
    try {
      load_tokenizer(path);
      return "";
    } catch (const UsageError& error) {
      return error.what();
    }
  }

  TestFolder folder_;
};

TEST_F(SentencePieceTest, GoesThereAndBack) {
  const auto tokenizer = load_tokenizer(train("with_pad", "--pad_id=3"));
  EXPECT_EQ(tokenizer->vocab_size(), 60);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_EQ(tokenizer->pad_id(), 3);
  Ids ids = tokenizer->encode("the number 144 follows");
  ASSERT_FALSE(ids.empty());
  EXPECT_LT(ids.size(), 22u);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 0) << "the end is the packing's business";
  EXPECT_EQ(tokenizer->decode(ids), "the number 144 follows");
  ids.push_back(2);
  ids.push_back(3);
  EXPECT_EQ(tokenizer->decode(ids), "the number 144 follows");
  EXPECT_THROW(tokenizer->decode(Ids{60}), Error);
}

TEST_F(SentencePieceTest, TakesBytesThatAreNoUtf8) {
  const auto tokenizer = load_tokenizer(train("a", ""));
  EXPECT_FALSE(tokenizer->encode("the \xFF\xC0 number \xE2\x82").empty());
}

TEST_F(SentencePieceTest, PadsWithTheEndWhereThereIsNoPadPiece) {
  const auto tokenizer = load_tokenizer(train("without_pad", ""));
  EXPECT_EQ(tokenizer->pad_id(), tokenizer->eos_id());
}

TEST_F(SentencePieceTest, IdentityIsNameAndHashOfTheModel) {
  const std::string path = train("a", "");
  const std::string identity = load_tokenizer(path)->identity();
  EXPECT_EQ(identity.substr(0, 13), "a.model xxh3:");
  EXPECT_EQ(identity.size(), 13u + 16u);
  EXPECT_EQ(load_tokenizer(path)->identity(), identity);
  EXPECT_NE(load_tokenizer(train("a", "--pad_id=3"))->identity(), identity);
}

TEST_F(SentencePieceTest, IsTheSameUnderAnotherName) {
  const std::string path = train("a", "");
  std::filesystem::copy_file(path, folder_.path("b c.model"));
  const std::string identity = load_tokenizer(path)->identity();
  EXPECT_TRUE(is_same_tokenizer(identity, load_tokenizer(folder_.path("b c.model"))->identity()));
  EXPECT_FALSE(is_same_tokenizer(identity, load_tokenizer(train("a", "--pad_id=3"))->identity()));
  EXPECT_FALSE(is_same_tokenizer(identity, "bytes"));
  EXPECT_FALSE(is_same_tokenizer(identity, "a.model"));
  EXPECT_TRUE(is_same_tokenizer("bytes", "bytes"));
  EXPECT_TRUE(is_same_tokenizer("of another program", "of another program"));
  EXPECT_TRUE(is_tokenizer_identity(identity));
  EXPECT_TRUE(is_tokenizer_identity("bytes"));
  EXPECT_FALSE(is_tokenizer_identity("of another program"));
}

TEST_F(SentencePieceTest, RefusesWhatIsNoModel) {
  EXPECT_NE(complaint(folder_.path("none.model")).find("none.model"), std::string::npos);
  EXPECT_NE(complaint(folder_.write("text.model", "hello")).find("not a SentencePiece model"),
            std::string::npos);
  EXPECT_NE(complaint(folder_.write("empty.model", "")).find("not a SentencePiece model"), std::string::npos);
  EXPECT_NE(complaint(folder_.path("")), "");
  EXPECT_NE(complaint(train("endless", "--eos_id=-1")).find("no end-of-sentence piece"), std::string::npos);
}

}  // namespace
}  // namespace cola
