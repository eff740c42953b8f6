#include "io/exchange/huggingface_tokenizer.h"

#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "io/exchange/base64.h"
#include "io/exchange/sentencepiece_model.h"
#include "io/exchange/tokenizer_json.h"
#include "support/test_folder.h"

namespace cola {
namespace {

using Json = nlohmann::json;

class HuggingFaceTokenizer : public ::testing::Test {
 protected:
  std::string train(const std::string& options) {
    std::string corpus;
    for (int i = 0; i < 400; ++i) corpus += "number " + std::to_string(i * i) + " follows the number here\n";
    folder_.write("corpus.txt", corpus);
    const auto status = sentencepiece::SentencePieceTrainer::Train(
        "--input=" + folder_.path("corpus.txt") + " --model_prefix=" + folder_.path("trained") +
        " --hard_vocab_limit=false --minloglevel=2 " + options);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return folder_.path("trained.model");
  }
  // The files of a trained model by name, JSON read.
  std::map<std::string, Json> files(const std::string& options) {
    return by_name(*load_tokenizer(train(options)));
  }
  static std::map<std::string, Json> by_name(const Tokenizer& tokenizer) {
    std::map<std::string, Json> files;
    for (const NamedText& file : huggingface_tokenizer_files(tokenizer, 77))
      files[file.name] = file.name.ends_with(".json") ? Json::parse(file.text) : Json(file.text.size());
    return files;
  }
  std::string complaint(const std::string& options) {
    try {
      files(options);
      return "";
    } catch (const UsageError& error) {
      return error.what();
    }
  }

  TestFolder folder_;
};

TEST(Base64, FollowsTheStandardsExamples) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xFF\xFE\xFD"), "//79");
}

TEST_F(HuggingFaceTokenizer, ReadsAModelAsItsLibraryDoes) {
  const auto tokenizer = load_tokenizer(
      train("--vocab_size=300 --model_type=bpe --byte_fallback --pad_id=3 --user_defined_symbols=row"));
  const SentencePieceModel model = read_sentencepiece_model(tokenizer->model(), "");
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.LoadFromSerializedProto(tokenizer->model()).ok());
  ASSERT_EQ(model.pieces.size(), static_cast<std::size_t>(library.GetPieceSize()));
  for (int id = 0; id < library.GetPieceSize(); ++id) {
    const SentencePiece& piece = model.pieces[static_cast<std::size_t>(id)];
    EXPECT_EQ(piece.text, library.IdToPiece(id));
    EXPECT_EQ(piece.score, library.GetScore(id)) << piece.text;
    EXPECT_EQ(piece.kind == SentencePiece::Kind::control, library.IsControl(id)) << piece.text;
    EXPECT_EQ(piece.kind == SentencePiece::Kind::byte, library.IsByte(id)) << piece.text;
    EXPECT_EQ(piece.kind == SentencePiece::Kind::user_defined, piece.text == "row") << piece.text;
  }
  EXPECT_EQ(model.algorithm, SentencePieceModel::Algorithm::byte_pairs);
  EXPECT_TRUE(model.byte_fallback && model.adds_prefix && model.removes_blanks && model.marks_blanks);
  EXPECT_FALSE(model.character_map.empty());
  EXPECT_THROW(read_sentencepiece_model(tokenizer->model().substr(0, 999), "cut"), UsageError);
}

TEST_F(HuggingFaceTokenizer, BytesAreTheirOwnIds) {
  const auto all = by_name(*make_byte_tokenizer());
  EXPECT_EQ(all.size(), 2u);
  const Json& vocabulary = all.at("tokenizer.json")["model"]["vocab"];
  EXPECT_EQ(vocabulary.size(), 258u);
  const std::vector<std::pair<std::string, int>> known = {{"A", 65},       {"\u0120", ' '}, {"\u010a", '\n'},
                                                          {"\u0100", 0},   {"\u0143", 173}, {"\u00ff", 255},
                                                          {"\u0142", 160}, {"\u0121", 127}, {"</s>", 256}};
  for (const auto& [text, id] : known) EXPECT_EQ(vocabulary[text], id) << text;
  EXPECT_EQ(all.at("tokenizer_config.json")["pad_token"], "<pad>");
  EXPECT_EQ(Json::parse(huggingface_generation_file(*make_byte_tokenizer()).text),
            Json::parse(R"({"bos_token_id": 256, "eos_token_id": 256, "pad_token_id": 257})"));
}

TEST_F(HuggingFaceTokenizer, DescribesAModelOfBytePairs) {
  const auto all = files("--vocab_size=60 --model_type=bpe");
  const Json &json = all.at("tokenizer.json"), &settings = all.at("tokenizer_config.json");
  EXPECT_EQ(json["model"]["type"], "BPE");
  EXPECT_EQ(json["model"]["vocab"]["</s>"], 2);
  EXPECT_FALSE(json["model"]["merges"].empty());
  EXPECT_EQ(json["added_tokens"].size(), 3u);
  EXPECT_EQ(json["normalizer"]["normalizers"].size(), 5u);
  EXPECT_TRUE(json["pre_tokenizer"].is_null());
  EXPECT_EQ(settings["bos_token"], "</s>");
  EXPECT_EQ(settings["pad_token"], "</s>");
  EXPECT_EQ(settings["model_max_length"], 77);
  EXPECT_GT(all.at("tokenizer.model"), 1000);
}

TEST_F(HuggingFaceTokenizer, DescribesWhatAModelLeavesOfTheText) {
  const Json json = files(
      "--vocab_size=60 --normalization_rule_name=identity --add_dummy_prefix=false "
      "--remove_extra_whitespaces=false --user_defined_symbols=a.b,row")["tokenizer.json"];
  EXPECT_EQ(json["model"]["type"], "Unigram");
  EXPECT_EQ(json["model"]["unk_id"], 0);
  EXPECT_EQ(json["normalizer"]["normalizers"].size(), 1u);
  EXPECT_EQ(json["decoder"]["decoders"].size(), 3u);
  EXPECT_EQ(json["pre_tokenizer"]["pattern"]["Regex"].get<std::string>().size(), 8u);
  EXPECT_NE(json["pre_tokenizer"]["pattern"]["Regex"].get<std::string>().find("a\\.b"), std::string::npos);
}

TEST_F(HuggingFaceTokenizer, RefusesModelsThatHaveNoLike) {
  EXPECT_NE(complaint("--vocab_size=60 --model_type=char").find("only unigram and byte-pair models"),
            std::string::npos);
  EXPECT_NE(complaint("--vocab_size=60 --treat_whitespace_as_suffix").find("trained.model xxh3:"),
            std::string::npos);
  EXPECT_NE(complaint("--vocab_size=60 --user_defined_symbols=\u00bd").find("its piece \"\u00bd\""),
            std::string::npos);
  EXPECT_EQ(complaint("--vocab_size=60 --user_defined_symbols=\u00bd --normalization_rule_name=identity"),
            "");
}

}  // namespace
}  // namespace cola
