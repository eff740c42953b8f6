// What the checkpoint tests share: a temporary folder, a tiny model of odd sizes, a random training state,
// and saving it as any number of shards.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/checkpoints/manifest.h"
#include "io/checkpoints/shard_file.h"
#include "model/parameter_table.h"
#include "model/shard_map.h"

namespace cola {

/// A new folder that is removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cola-test-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw Error("cannot make a temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline ModelConfiguration odd_configuration() {
  ModelConfiguration configuration;
  configuration.vocab_size = 258;
  configuration.hidden_size = 24;
  configuration.intermediate_size = 21;
  configuration.num_hidden_layers = 2;
  configuration.num_attention_heads = configuration.num_key_value_heads = 2;
  configuration.rank = 6;
  return configuration;
}

/// All stored elements of a model, flat: real elements random, padding zero.
struct FlatState {
  std::vector<float> weights, exp_avg, exp_avg_sq;

  const std::vector<float>& operator[](StateTensor tensor) const {
    return tensor == StateTensor::weights ? weights : tensor == StateTensor::exp_avg ? exp_avg : exp_avg_sq;
  }
};

inline std::vector<float> random_flat(const ParameterTable& table, std::mt19937& engine) {
  std::normal_distribution<float> normal;
  std::vector<float> flat(static_cast<std::size_t>(table.stored_elements()));
  for (const Parameter& parameter : table.parameters()) {
    const std::int64_t begin =
        table.units()[static_cast<std::size_t>(parameter.unit)].offset + parameter.offset;
    for (std::int64_t row = 0; row < parameter.rows; ++row)
      for (std::int64_t column = 0; column < parameter.columns; ++column)
        flat[static_cast<std::size_t>(begin + row * parameter.stored_columns + column)] = normal(engine);
  }
  return flat;
}

inline FlatState random_state(const ParameterTable& table, unsigned seed) {
  std::mt19937 engine(seed);
  FlatState state;
  state.weights = random_flat(table, engine);
  state.exp_avg = random_flat(table, engine);
  state.exp_avg_sq = random_flat(table, engine);
  return state;
}

/// What one rank holds of `flat`, in its padded layout; padding of chunks is NaN: nobody may read it.
inline std::vector<float> shard_of(const std::vector<float>& flat, const ShardMap& map, int shard) {
  std::vector<float> local(static_cast<std::size_t>(map.shard_elements()), std::nanf(""));
  for (const ShardRange& range : map.ranges(shard))
    std::copy(flat.begin() + range.begin, flat.begin() + range.end, local.begin() + range.local);
  return local;
}

inline ShardRecord write_shard_of(const std::string& folder, const FlatState& state, const ShardMap& map,
                                  int shard) {
  const auto weights = shard_of(state.weights, map, shard), exp_avg = shard_of(state.exp_avg, map, shard),
             exp_avg_sq = shard_of(state.exp_avg_sq, map, shard);
  return write_shard(folder, {shard, map.shards(), map.ranges(shard)}, {weights, exp_avg, exp_avg_sq});
}

/// A manifest of everything but the shards.
inline Manifest manifest_of(const ParameterTable& table, std::int64_t step) {
  Manifest manifest;
  manifest.step = step;
  manifest.next_sample = step * 8;
  manifest.tokens = step * 8 * 64;
  manifest.seed = 18446744073709551615u;
  manifest.configuration = "run: {name: \"ω test\"}\nmodel:\n  rank: 6\n";
  manifest.parameters = table.parameters();
  manifest.units = table.units();
  return manifest;
}

/// Writes and commits directory/step-N; returns the folder.
inline std::string save(const std::string& directory, const ParameterTable& table, const FlatState& state,
                        int shards, std::int64_t step) {
  const std::string folder = directory + "/" + checkpoint_name(step);
  const ShardMap map(table, shards);
  Manifest manifest = manifest_of(table, step);
  for (int shard = 0; shard < shards; ++shard)
    manifest.shards.push_back(write_shard_of(folder, state, map, shard));
  publish_manifest(folder, manifest);
  return folder;
}

inline std::vector<std::string> names_under(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

inline void flip_bit(const std::string& path, std::uint64_t byte, int bit) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(byte));
  const char changed = static_cast<char>(file.get() ^ (1 << bit));
  file.seekp(static_cast<std::streamoff>(byte));
  file.put(changed);
}

/// Runs `action` and returns the message of the FileError it must throw.
template <typename Action>
std::string file_error_of(Action action) {
  try {
    action();
  } catch (const FileError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no FileError was thrown";
  return "";
}

}  // namespace cola
