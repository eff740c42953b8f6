#include "train/checkpoints/same_run.h"

#include <gtest/gtest.h>

#include <utility>

#include "core/error.h"

namespace cola {
namespace {

class SameRun : public ::testing::Test {
 protected:
  SameRun() {
    ModelConfiguration& model = now_.model;
    model.vocab_size = 258;
    model.hidden_size = 32;
    model.intermediate_size = 45;
    model.num_hidden_layers = 1;
    model.num_attention_heads = model.num_key_value_heads = 4;
    model.rank = 8;
    now_.run.dir = "runs/test";
    now_.data.train = now_.data.validation = {"a.h5"};
    manifest_.step = 10;
    manifest_.next_sample = 120;
    manifest_.seed = now_.run.seed;
    manifest_.configuration = to_yaml(now_);
    manifest_.parameters = ParameterTable(model).parameters();
    manifest_.shards.resize(2);
    manifest_.data = data_;
  }
  void require() const {
    const ParameterTable table(now_.model);
    require_same_run(manifest_, {now_, table, data_}, "step-00000010");
  }
  std::string refusal() const {
    try {
      require();
    } catch (const UsageError& error) {
      return error.what();
    }
    return {};
  }

  RunConfiguration now_;
  Manifest manifest_;
  DataRecord data_{2, 1000, 31, "bytes 1234", "abcd"};
};

TEST_F(SameRun, TakesWhatMayChange) {
  now_.optimizer.lr = 0.5;
  now_.train.global_batch = 64;
  EXPECT_EQ(refusal(), "");
}

TEST_F(SameRun, NamesEachSettingThatDiffersWithBothValues) {
  now_.model.rank = 16;
  now_.model.num_key_value_heads = 2;
  now_.run.seed = 43;
  now_.data.sequence_length = 128;
  now_.optimizer.lr = 0.5;
  EXPECT_EQ(
      refusal(),
      "step-00000010: was trained with other settings: run.seed 42 -> 43, model.num_key_value_heads 4 -> 2, "
      "model.rank 8 -> 16, data.sequence_length 256 -> 128; set them back, or set another run.dir to start "
      "anew");
}

TEST_F(SameRun, LetsMaxPositionEmbeddingsGrowAndTellsIt) {
  now_.model.max_position_embeddings = 4096;
  EXPECT_EQ(refusal(), "");
  EXPECT_EQ(describe_changes(manifest_, now_, 2, "folder"), "model.max_position_embeddings 1024 -> 4096");
  now_.model.max_position_embeddings = 512;
  EXPECT_NE(refusal().find("model.max_position_embeddings 1024 -> 512; set them back"), std::string::npos)
      << refusal();
}

TEST_F(SameRun, RefusesOtherDataUnlessTheyAreAllowed) {
  data_.tokens = 2000;
  EXPECT_EQ(refusal(),
            "data.train: step-00000010 was trained on other data (1000 tokens in 2 files, now 2000 in 2); "
            "data.allow_change=true resumes with the new ones");
  now_.data.allow_change = true;
  EXPECT_EQ(refusal(), "");
}

TEST_F(SameRun, NamesWhatDiffersInTheData) {
  const DataRecord before = data_;
  data_.tokenizer = "bytes 5678";
  EXPECT_NE(refusal().find("tokenizer 'bytes 1234', now 'bytes 5678'"), std::string::npos) << refusal();
  data_ = before;
  data_.checksum = "ef";
  EXPECT_NE(refusal().find("files of other names or sizes"), std::string::npos) << refusal();
}

TEST_F(SameRun, RefusesOtherWeightsUnlessTheyAreAllowed) {
  manifest_.data->corpora = data_.corpora = {{1, 3}, {1, 4}, {1, 1}};
  EXPECT_EQ(refusal(), "");
  data_.corpora = {{1, 3}, {1, 1}, {1, 4}};
  EXPECT_EQ(
      refusal(),
      "data.train: step-00000010 was trained on other data (data.weights that give entry 2 of data.train "
      "50 %, now 12.5 %); data.allow_change=true resumes with the new ones");
  now_.data.allow_change = true;
  EXPECT_EQ(refusal(), "");
}

TEST_F(SameRun, RefusesOtherCorporaOfTheSameFiles) {
  data_.corpora = {{1, 1}, {1, 1}};
  EXPECT_NE(refusal().find("(one corpus, now 2 corpora by data.weights)"), std::string::npos) << refusal();
  std::swap(data_.corpora, manifest_.data->corpora);
  EXPECT_NE(refusal().find("(2 corpora by data.weights, now one corpus)"), std::string::npos) << refusal();
  data_.corpora = {{2, 1}, {2, 1}};
  EXPECT_NE(refusal().find("(data.weights with 1 files in entry 1 of data.train, now 2)"), std::string::npos)
      << refusal();
}

TEST_F(SameRun, TakesATokenizerWhoseFileWasRenamed) {
  manifest_.data->tokenizer = "a.model xxh3:0123456789abcdef";
  data_.tokenizer = "b.model xxh3:0123456789abcdef";
  EXPECT_EQ(refusal(), "");
}

TEST_F(SameRun, TakesAnyDataWhereNoneWereReadAndWhereNoneAreTold) {
  data_.tokens = 2000;
  manifest_.data.reset();  // of a version before this one
  EXPECT_EQ(refusal(), "");
  manifest_.data = DataRecord{};
  manifest_.step = manifest_.next_sample = 0;  // imported weights
  EXPECT_EQ(refusal(), "");
}

TEST_F(SameRun, RefusesAnotherTokenizerForImportedWeightsUnlessItIsAllowed) {
  manifest_.step = manifest_.next_sample = 0;
  manifest_.data->tokenizer = "bytes";
  data_ = {5, 2000, 62, "bytes", "ef"};
  EXPECT_EQ(refusal(), "") << "other text of the same tokenizer";
  data_.tokenizer = "b.model xxh3:0123456789abcdef";
  EXPECT_EQ(refusal(),
            "data.train: step-00000010 was trained on other data (tokenizer 'bytes', now 'b.model "
            "xxh3:0123456789abcdef'); data.allow_change=true resumes with the new ones");
  now_.data.allow_change = true;
  EXPECT_EQ(refusal(), "");
  now_.data.allow_change = false;
  manifest_.data->tokenizer = "somebody's own";  // which may be that one, under another name
  EXPECT_EQ(refusal(), "");
}

TEST_F(SameRun, RefusesToEvaluateOnAnotherTokenizersData) {
  TokenFileLayout data;
  data.path = "v.h5";
  data.attributes.tokenizer = "b.model xxh3:0123456789abcdef";
  EXPECT_NO_THROW(require_same_tokenizer(manifest_, data, "step-00000010"))
      << "trained with nobody knows what";
  manifest_.data->tokenizer = "a.model xxh3:0123456789abcdef";
  EXPECT_NO_THROW(require_same_tokenizer(manifest_, data, "step-00000010"));
  manifest_.data->tokenizer = "bytes";
  try {
    require_same_tokenizer(manifest_, data, "step-00000010");
    FAIL() << "another tokenizer was taken";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(),
                 "data.validation: v.h5 has tokenizer 'b.model xxh3:0123456789abcdef', but step-00000010 was "
                 "trained with 'bytes': its loss would mean nothing");
  }
  manifest_.data.reset();
  EXPECT_NO_THROW(require_same_tokenizer(manifest_, data, "step-00000010"));
}

TEST_F(SameRun, TellsWhatElseHasChanged) {
  EXPECT_EQ(describe_changes(manifest_, now_, 2, "folder"), "");
  now_.optimizer.lr = 0.004;
  now_.run.dir = "elsewhere";
  now_.run.time_limit = 3600;
  now_.run.stop_margin = 60;
  EXPECT_EQ(describe_changes(manifest_, now_, 1, "folder"), "optimizer.lr 0.001 -> 0.004, 2 ranks -> 1");
  manifest_.step = manifest_.next_sample = 0;  // imported weights, which no setting has trained
  EXPECT_EQ(describe_changes(manifest_, now_, 1, "folder"), "");
}

TEST_F(SameRun, TakesAnyRankWhereThereIsNone) {
  now_.model.projection = ProjectionKind::full;
  manifest_.configuration = to_yaml(now_);
  manifest_.parameters = ParameterTable(now_.model).parameters();
  now_.model.rank = 16;
  now_.model.gate_activation = true;
  EXPECT_EQ(refusal(), "");
}

TEST(DataRecord, IsKeptByManifestsAndMayBeMissing) {
  Manifest manifest;
  EXPECT_FALSE(manifest_from_json(to_json(manifest), "text").data.has_value());
  manifest.data = DataRecord{2, 1000, 31, "bytes", "abcd"};
  EXPECT_EQ(manifest_from_json(to_json(manifest), "text").data, manifest.data);
  EXPECT_EQ(to_json(manifest).find("corpora"), std::string::npos) << "nothing new where nothing is blended";
  manifest.data->corpora = {{2, 1610612736}, {1, 536870912}};
  EXPECT_EQ(manifest_from_json(to_json(manifest), "text").data, manifest.data);
}

}  // namespace
}  // namespace cola
