#include "io/checkpoints/checkpoint_compare.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <thread>

#include "io/checkpoint_fixture.h"
#include "io/exchange/checkpoint_export.h"
#include "io/exchange/checkpoint_import.h"
#include "io/files/durable_file.h"
#include "io/files/hdf5_file.h"

namespace cola {
namespace {

class CheckpointCompareTest : public testing::Test {
 protected:
  // Position of a parameter's element [row, column] in the flat space.
  std::size_t flat_index(const std::string& name, std::int64_t row, std::int64_t column) const {
    const Parameter& parameter = table_.find(name);
    return static_cast<std::size_t>(table_.units()[static_cast<std::size_t>(parameter.unit)].offset +
                                    parameter.offset + row * parameter.stored_columns + column);
  }
  std::vector<TensorDifference> compare(const std::string& a, const std::string& b) {
    CheckpointReader first(a), second(b);
    return compare_checkpoints(first, second);
  }

  TemporaryFolder folder_;
  ParameterTable table_{odd_configuration()};
  // Flips a bit of a shard's first value of one dataset; returns the shard's path.
  static std::string damage(const std::string& folder, std::size_t shard, StateTensor tensor) {
    const ShardRecord record = read_manifest(folder).shards.at(shard);
    const std::int64_t place = record.datasets[static_cast<std::size_t>(tensor)].offset;
    flip_bit(folder + "/" + record.file, static_cast<std::uint64_t>(place), 3);
    return folder + "/" + record.file;
  }
  // An exported file, as another program would write it.
  std::string made_elsewhere() {
    const std::string path = folder_ / "elsewhere.h5";
    std::vector<std::int64_t> offsets;
    Hdf5File file = Hdf5File::create(path);
    for (const Parameter& parameter : table_.parameters())
      offsets.push_back(file.reserve(parameter.name, parameter.is_vector
                                                         ? std::vector{parameter.columns}
                                                         : std::vector{parameter.rows, parameter.columns}));
    file.close();
    FileDescriptor data = FileDescriptor::open_to_write(path);
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      const std::vector<float> values(static_cast<std::size_t>(table_.parameters()[i].elements()), 0.5f);
      data.write_at(offsets[i], std::as_bytes(std::span(values)));
    }
    return path;
  }

  FlatState state_ = random_state(table_, 1);
};

TEST_F(CheckpointCompareTest, EqualStatesAreIdenticalAcrossShardCounts) {
  const std::string one = save(folder_ / "a", table_, state_, 1, 1);
  const std::string four = save(folder_ / "b", table_, state_, 4, 2);
  EXPECT_TRUE(compare(one, four).empty());
}

TEST_F(CheckpointCompareTest, NamesEachDifferingTensorAndMoment) {
  const std::string a = save(folder_ / "a", table_, state_, 3, 1);
  const std::string weight = "model.layers.1.mlp.down_proj.cola_a", norm = "model.norm.weight";
  state_.weights[flat_index(weight, 5, 20)] += 0.5f;
  state_.weights[flat_index(weight, 0, 0)] += 0.25f;
  float& moment = state_.exp_avg_sq[flat_index(norm, 0, 23)];
  moment = std::nextafter(moment, 100.0f);
  const std::vector<TensorDifference> found = compare(a, save(folder_ / "b", table_, state_, 2, 1));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].name, weight);
  EXPECT_EQ(found[0].tensor, StateTensor::weights);
  EXPECT_EQ(found[0].elements, 2);
  EXPECT_NEAR(found[0].max_difference, 0.5, 1e-6);
  EXPECT_EQ(found[1].name, norm);
  EXPECT_EQ(found[1].tensor, StateTensor::exp_avg_sq);
  EXPECT_EQ(found[1].elements, 1);
  EXPECT_GT(found[1].max_difference, 0);
}

TEST_F(CheckpointCompareTest, IdenticalMeansBytes) {
  float& value = state_.weights[flat_index("lm_head.weight", 257, 23)];
  value = 0.0f;
  const std::string a = save(folder_ / "a", table_, state_, 1, 1);
  value = -0.0f;
  EXPECT_EQ(compare(a, save(folder_ / "b", table_, state_, 1, 1)).size(), 1u);
  value = std::nanf("");
  const std::string c = save(folder_ / "c", table_, state_, 1, 1);
  EXPECT_TRUE(compare(c, c).empty());
  ASSERT_EQ(compare(a, c).size(), 1u);
  EXPECT_TRUE(std::isnan(compare(a, c)[0].max_difference));
}

TEST_F(CheckpointCompareTest, NamesTensorsOfAnotherModel) {
  const std::string a = save(folder_ / "a", table_, state_, 1, 1);
  ModelConfiguration other = odd_configuration();
  other.vocab_size = 260;
  other.num_hidden_layers = 1;
  const ParameterTable smaller(other);
  const std::vector<TensorDifference> found =
      compare(a, save(folder_ / "b", smaller, random_state(smaller, 1), 1, 1));
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].name, "model.embed_tokens.weight");
  EXPECT_EQ(found[0].reason, "[258, 24] against [260, 24]");
}

TEST_F(CheckpointCompareTest, NormsLeaveNothingOut) {
  CheckpointReader reader(save(folder_.path(), table_, state_, 3, 1));
  double total = 0, wanted = 0;
  for (const Parameter& parameter : table_.parameters())
    total += std::pow(tensor_norms(reader, parameter).weights, 2);
  for (const float value : state_.weights) wanted += static_cast<double>(value) * static_cast<double>(value);
  EXPECT_NEAR(total, wanted, 1e-9 * wanted);
}

TEST_F(CheckpointCompareTest, ExportHoldsLogicalTensors) {
  CheckpointReader reader(save(folder_.path(), table_, state_, 3, 7));
  const std::string output = folder_ / "weights.h5";
  export_hdf5(reader, output);
  const Hdf5File file = Hdf5File::open(output);
  for (const Parameter& parameter : table_.parameters()) {
    const std::vector<std::int64_t> shape = file.shape(parameter.name);
    ASSERT_EQ(shape, parameter.is_vector ? (std::vector{parameter.columns})
                                         : (std::vector{parameter.rows, parameter.columns}));
    std::vector<float> values(static_cast<std::size_t>(parameter.elements()));
    file.read_all(parameter.name, values);
    for (std::int64_t row = 0; row < parameter.rows; ++row)
      EXPECT_EQ(0, std::memcmp(&values[static_cast<std::size_t>(row * parameter.columns)],
                               &state_.weights[flat_index(parameter.name, row, 0)],
                               static_cast<std::size_t>(parameter.columns) * sizeof(float)));
  }
}

TEST_F(CheckpointCompareTest, ImportRestoresWeightsAndZeroMoments) {
  CheckpointReader reader(save(folder_.path(), table_, state_, 3, 7));
  const std::string output = folder_ / "weights.h5";
  export_hdf5(reader, output);
  FlatState wanted = state_;
  std::fill(wanted.exp_avg.begin(), wanted.exp_avg.end(), 0.0f);
  std::fill(wanted.exp_avg_sq.begin(), wanted.exp_avg_sq.end(), 0.0f);
  const std::string expected = save(folder_ / "expected", table_, wanted, 1, 7);
  for (const int shards : {0, 1, 3}) {
    const std::string directory = folder_ / ("imported-" + std::to_string(shards));
    const std::string imported = import_weights(output, read_export_manifest(output), directory, shards);
    EXPECT_NO_THROW(verify_checkpoint(imported));
    EXPECT_TRUE(compare(expected, imported).empty());
    const Manifest manifest = read_manifest(imported);
    EXPECT_EQ(manifest.step, 0);
    EXPECT_EQ(manifest.tokens, 0);
    EXPECT_NO_THROW(require_same_parameters(manifest, table_, "here"));
    EXPECT_THROW(import_weights(output, reader.manifest(), directory, shards), UsageError) << "a second time";
  }
}

TEST_F(CheckpointCompareTest, ImportTakesACheckpointForItsExport) {
  const std::string folder = save(folder_ / "run/checkpoints", table_, state_, 3, 7);
  CheckpointReader reader(folder);
  export_hdf5(reader, folder_ / "weights.h5");
  const std::string expected =
      import_weights(folder_ / "weights.h5", reader.manifest(), folder_ / "expected", 2);
  for (const std::string& input : {folder_ / "run", folder_ / "run/checkpoints", folder}) {
    EXPECT_EQ(find_own_checkpoint(input), folder);
    const std::string imported = import_weights(input, read_manifest(folder), folder_ / "new", 2);
    EXPECT_EQ(read_file(imported + "/manifest.json"), read_file(expected + "/manifest.json"));
    EXPECT_TRUE(compare(expected, imported).empty());
    std::filesystem::remove_all(folder_ / "new");
  }
  EXPECT_EQ(find_own_checkpoint(folder_ / "weights.h5"), "");
  EXPECT_EQ(find_own_checkpoint(folder_ / "missing"), "");
  write_file(folder + "/config.json", "{}");
  EXPECT_EQ(find_own_checkpoint(folder), "") << "another program's model";
}

TEST_F(CheckpointCompareTest, NothingIsMadeOfADamagedShard) {
  const std::string whole = save(folder_ / "whole", table_, state_, 3, 7);
  const std::string folder = save(folder_ / "damaged", table_, state_, 3, 7);
  const std::string path = damage(folder, 1, StateTensor::weights);
  CheckpointReader good(whole);
  const auto expect_found = [&](const auto& action) {
    CheckpointReader reader(folder);
    const std::string message = file_error_of([&] { action(reader); });
    EXPECT_EQ(message, path + ": damaged: its checksum does not match the manifest");
  };
  expect_found([&](CheckpointReader& reader) { export_hdf5(reader, folder_ / "weights.h5"); });
  expect_found([&](CheckpointReader& reader) {
    export_safetensors(reader, DataType::float32, folder_ / "weights.safetensors");
  });
  expect_found([&](CheckpointReader& reader) { compare_checkpoints(good, reader); });
  expect_found([&](CheckpointReader& reader) { compare_checkpoints(reader, good); });
  expect_found([&](CheckpointReader& reader) {
    for (const Parameter& parameter : table_.parameters()) tensor_norms(reader, parameter);
  });
  EXPECT_EQ(names_under(folder_.path()), (std::vector<std::string>{"damaged", "whole"}));
  CheckpointReader trusting(folder, ShardCheck::size);
  EXPECT_EQ(compare_checkpoints(good, trusting).size(), 1u);
}

TEST_F(CheckpointCompareTest, AMomentThatIsDamagedIsFoundAsWell) {
  const std::string folder = save(folder_.path(), table_, state_, 2, 7);
  const std::string path = damage(folder, 0, StateTensor::exp_avg_sq);
  CheckpointReader reader(folder);
  EXPECT_NE(file_error_of([&] { export_hdf5(reader, folder_ / "weights.h5"); }).find(path),
            std::string::npos);
}

TEST_F(CheckpointCompareTest, ImportFindsDamageInAnExport) {
  CheckpointReader reader(save(folder_.path(), table_, state_, 1, 7));
  const std::string output = folder_ / "weights.h5";
  export_hdf5(reader, output);
  const std::string bytes = read_file(output);
  for (const Parameter& parameter : table_.parameters()) {
    const std::vector<float> values = reader.read_tensor(parameter, StateTensor::weights);
    const std::string_view pattern(reinterpret_cast<const char*>(values.data()),
                                   values.size() * sizeof(float));
    const std::size_t place = bytes.find(pattern);
    ASSERT_NE(place, std::string::npos) << parameter.name;
    flip_bit(output, place + pattern.size() / 2, 6);
    const std::string message =
        file_error_of([&] { import_weights(output, read_export_manifest(output), folder_ / "new", 2); });
    EXPECT_NE(message.find(output + ": " + parameter.name + " is damaged"), std::string::npos) << message;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "new"));
    flip_bit(output, place + pattern.size() / 2, 6);
  }
  EXPECT_NO_THROW(import_weights(output, read_export_manifest(output), folder_ / "new", 2));
}

TEST_F(CheckpointCompareTest, ImportTakesFilesWithoutChecksums) {
  const std::string imported = import_weights(made_elsewhere(), manifest_of(table_, 3), folder_ / "new", 1);
  CheckpointReader reader(imported);
  const Parameter& parameter = table_.find("model.layers.1.mlp.down_proj.cola_a");
  for (const float value : reader.read_tensor(parameter, StateTensor::weights)) EXPECT_EQ(value, 0.5f);
}

TEST_F(CheckpointCompareTest, ImportInheritsTheModelAlone) {
  CheckpointReader reader(save(folder_.path(), table_, state_, 1, 7));
  const std::string output = folder_ / "weights.h5";
  export_hdf5(reader, output);
  const Manifest manifest =
      read_manifest(import_weights(output, read_export_manifest(output), folder_ / "new", 1));
  EXPECT_EQ(manifest.configuration, reader.manifest().configuration);
  EXPECT_EQ(manifest.seed, 0u);
  EXPECT_EQ(manifest.next_sample, 0);
}

TEST_F(CheckpointCompareTest, ImportClearsWhatAnEarlierTryLeft) {
  CheckpointReader reader(save(folder_.path(), table_, state_, 1, 7));
  const std::string output = folder_ / "weights.h5", left = folder_ / "new/checkpoints/step-00000000";
  export_hdf5(reader, output);
  std::filesystem::create_directories(left);
  write_file(left + "/shard-00007.h5", "half");
  import_weights(output, read_export_manifest(output), folder_ / "new", 2);
  EXPECT_EQ(names_under(left),
            (std::vector<std::string>{"manifest.json", "shard-00000.h5", "shard-00001.h5"}));
}

TEST_F(CheckpointCompareTest, TheSameExportMakesTheSameFile) {
  CheckpointReader reader(save(folder_.path(), table_, state_, 1, 7));
  export_hdf5(reader, folder_ / "first.h5");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  export_hdf5(reader, folder_ / "second.h5");
  EXPECT_EQ(read_file(folder_ / "first.h5"), read_file(folder_ / "second.h5"));
}

TEST_F(CheckpointCompareTest, ImportOfAnotherModelWritesNothing) {
  CheckpointReader reader(save(folder_.path(), table_, state_, 1, 7));
  const std::string output = folder_ / "weights.h5";
  export_hdf5(reader, output);
  ModelConfiguration other = odd_configuration();
  other.vocab_size = 259;
  const std::string message = file_error_of(
      [&] { import_weights(output, manifest_of(ParameterTable(other), 0), folder_ / "new", 1); });
  EXPECT_NE(message.find("model.embed_tokens.weight is [258, 24], the model needs [259, 24]"),
            std::string::npos)
      << message;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "new"));
}

TEST_F(CheckpointCompareTest, AnExportInBfloat16ReturnsAsTheRoundedWeights) {
  state_.weights[flat_index("model.norm.weight", 0, 0)] = 1.00390625f;  // halfway, to the even one below
  state_.weights[flat_index("model.norm.weight", 0, 1)] = 1.01171875f;  // halfway, to the even one above
  CheckpointReader reader(save(folder_.path(), table_, state_, 2, 7));
  export_safetensors(reader, DataType::float32, folder_ / "whole.safetensors");
  const std::string output = folder_ / "half.safetensors";
  export_safetensors(reader, DataType::bfloat16, output);
  std::int64_t elements = 0;
  for (const Parameter& parameter : table_.parameters()) elements += parameter.elements();
  EXPECT_NEAR(static_cast<double>(std::filesystem::file_size(folder_ / "whole.safetensors") -
                                  std::filesystem::file_size(output)),
              static_cast<double>(2 * elements), 1000)
      << "but for offsets of fewer digits";

  FlatState wanted = state_;
  for (float& weight : wanted.weights) weight = static_cast<float>(bfloat16(weight));
  std::fill(wanted.exp_avg.begin(), wanted.exp_avg.end(), 0.0f);
  std::fill(wanted.exp_avg_sq.begin(), wanted.exp_avg_sq.end(), 0.0f);
  EXPECT_EQ(wanted.weights[flat_index("model.norm.weight", 0, 0)], 1.0f);
  EXPECT_EQ(wanted.weights[flat_index("model.norm.weight", 0, 1)], 1.015625f);
  const std::string imported = import_weights(output, reader.manifest(), folder_ / "new", 1);
  EXPECT_TRUE(compare(save(folder_ / "expected", table_, wanted, 1, 7), imported).empty());

  flip_bit(output, std::filesystem::file_size(output) - 1, 6);
  EXPECT_NE(file_error_of([&] {
              import_weights(output, reader.manifest(), folder_ / "other", 1);
            }).find("is damaged or was changed"),
            std::string::npos);
}

TEST_F(CheckpointCompareTest, SafetensorsFollowsTheFormat) {
  CheckpointReader reader(save(folder_.path(), table_, state_, 2, 7));
  const std::string output = folder_ / "model.safetensors";
  export_safetensors(reader, DataType::float32, output);
  const std::string bytes = read_file(output);
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  ASSERT_EQ(header % 8, 0u);
  const nlohmann::json fields = nlohmann::json::parse(bytes.substr(8, header));
  EXPECT_EQ(fields.size(), table_.parameters().size() + 1);
  std::uint64_t end = 0;
  for (const Parameter& parameter : table_.parameters()) {
    const auto& field = fields.at(parameter.name);
    EXPECT_EQ(field.at("dtype"), "F32");
    EXPECT_EQ(field.at("data_offsets").at(0), end);
    end = field.at("data_offsets").at(1);
    const std::vector<float> values = reader.read_tensor(parameter, StateTensor::weights);
    EXPECT_EQ(0, std::memcmp(bytes.data() + 8 + header + end - values.size() * sizeof(float), values.data(),
                             values.size() * sizeof(float)));
  }
  EXPECT_EQ(bytes.size(), 8 + header + end);
}

}  // namespace
}  // namespace cola
