#include "io/checkpoints/manifest.h"

#include <string>

#include "io/checkpoint_fixture.h"
#include "io/files/checksum.h"

namespace cola {
namespace {

Manifest complete_manifest(int shards = 2) {
  const ParameterTable table(odd_configuration());
  const ShardMap map(table, shards);
  Manifest manifest = manifest_of(table, 7);
  for (int shard = 0; shard < shards; ++shard)
    manifest.shards.push_back({shard_name(shard), 1234u + shard, std::string(32, 'a'), map.ranges(shard)});
  return manifest;
}

TEST(Manifest, SurvivesTheWayThroughJson) {
  const Manifest written = complete_manifest();
  const Manifest read = manifest_from_json(to_json(written), "here");
  EXPECT_EQ(read.step, 7);
  EXPECT_EQ(read.next_sample, 56);
  EXPECT_EQ(read.tokens, 7 * 8 * 64);
  EXPECT_EQ(read.seed, 18446744073709551615u);
  EXPECT_EQ(read.configuration, written.configuration);
  ASSERT_EQ(read.parameters.size(), written.parameters.size());
  for (std::size_t i = 0; i < read.parameters.size(); ++i) {
    EXPECT_EQ(read.parameters[i].name, written.parameters[i].name);
    EXPECT_EQ(read.parameters[i].is_vector, written.parameters[i].is_vector);
    EXPECT_EQ(read.parameters[i].standard_deviation, written.parameters[i].standard_deviation);
  }
  ASSERT_EQ(read.shards.size(), 2u);
  EXPECT_EQ(read.shards[1].file, "shard-00001.h5");
  EXPECT_EQ(read.shards[1].bytes, 1235u);
  EXPECT_EQ(read.shards[1].ranges, written.shards[1].ranges);
  EXPECT_NO_THROW(require_same_parameters(read, ParameterTable(odd_configuration()), "here"));
  EXPECT_EQ(to_json(read), to_json(written));
}

TEST(Manifest, KeepsConfigurationsOfAnyLineEnding) {
  for (const std::string text : {"", "one", "one\n", "\n\n", "a: 1\r\n\nb: \"\t\\\"\n  "}) {
    Manifest manifest = complete_manifest();
    manifest.configuration = text;
    EXPECT_EQ(manifest_from_json(to_json(manifest), "here").configuration, text);
  }
}

TEST(Manifest, DetectsEveryFlippedBit) {
  const std::string json = to_json(complete_manifest(1));
  for (std::size_t byte = 0; byte < json.size(); ++byte) {
    std::string changed = json;
    changed[byte] = static_cast<char>(changed[byte] ^ (1 << (byte % 8)));
    ASSERT_THROW(manifest_from_json(changed, "here"), FileError) << "byte " << byte << " of " << json;
  }
}

TEST(Manifest, DetectsEveryTruncationAndAddition) {
  const std::string json = to_json(complete_manifest(1));
  for (std::size_t length = 0; length < json.size(); ++length)
    ASSERT_THROW(manifest_from_json(json.substr(0, length), "here"), FileError) << length;
  EXPECT_THROW(manifest_from_json(json + "\n", "here"), FileError);
}

// What a program of another version would have written, with a checksum that is right.
std::string altered(std::string json, const std::string& from, const std::string& to) {
  json.replace(json.find(from), from.size(), to);
  const std::size_t tail = json.find(",\n  \"checksum\"");
  const std::string text = json.substr(0, tail);
  return text + ",\n  \"checksum\": \"" + checksum_of(text) + "\"\n}\n";
}

TEST(Manifest, NamesAnotherFormatVersion) {
  const std::string json =
      altered(to_json(complete_manifest()), "\"format_version\": 1", "\"format_version\": 9");
  const std::string message = file_error_of([&] { manifest_from_json(json, "some/manifest.json"); });
  EXPECT_NE(message.find("some/manifest.json"), std::string::npos) << message;
  EXPECT_NE(message.find("format version 9"), std::string::npos) << message;
}

TEST(Manifest, RefusesWrongTypesMissingFieldsAndPathsThatLeaveTheFolder) {
  const std::string json = to_json(complete_manifest());
  EXPECT_THROW(manifest_from_json(altered(json, "\"step\": 7", "\"step\": \"seven\""), "here"), FileError);
  EXPECT_THROW(manifest_from_json(altered(json, "\"step\": 7", "\"stop\": 7"), "here"), FileError);
  EXPECT_THROW(manifest_from_json(altered(json, "shard-00001.h5", "../shard-00001.h5"), "here"), FileError);
  EXPECT_THROW(manifest_from_json(altered(json, "\"unit\":0", "\"unit\":99"), "here"), FileError);
  EXPECT_NO_THROW(manifest_from_json(altered(json, "\"step\": 7", "\"step\": 8"), "here"));
}

TEST(Manifest, NamesTheFirstTensorThatDoesNotFitTheModel) {
  const Manifest manifest = complete_manifest();
  ModelConfiguration other = odd_configuration();
  other.intermediate_size = 22;
  std::string message =
      file_error_of([&] { require_same_parameters(manifest, ParameterTable(other), "step-00000007"); });
  EXPECT_NE(message.find("model.layers.0.mlp.gate_proj.cola_b"), std::string::npos) << message;
  EXPECT_NE(message.find("[21, 6]"), std::string::npos) << message;
  EXPECT_NE(message.find("step-00000007"), std::string::npos) << message;
  other = odd_configuration();
  other.num_hidden_layers = 3;
  message = file_error_of([&] { require_same_parameters(manifest, ParameterTable(other), "here"); });
  EXPECT_NE(message.find("model.layers.2.input_layernorm.weight"), std::string::npos) << message;
}

TEST(Manifest, ShardsMustCoverEveryElementOnce) {
  const Manifest good = complete_manifest(3);
  EXPECT_NO_THROW(require_complete_shards(good, "here"));
  Manifest bad = good;
  bad.shards.pop_back();
  EXPECT_THROW(require_complete_shards(bad, "here"), FileError);
  bad = good;
  bad.shards.push_back(good.shards.front());
  EXPECT_THROW(require_complete_shards(bad, "here"), FileError);
  bad = good;
  --bad.shards[1].ranges[1].end;
  EXPECT_THROW(require_complete_shards(bad, "here"), FileError);
  bad = good;
  bad.shards.clear();
  EXPECT_THROW(require_complete_shards(bad, "here"), FileError);
}

}  // namespace
}  // namespace cola
