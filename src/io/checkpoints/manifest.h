// Manifest: what a checkpoint consists of. Pure data and its JSON form; no file is touched here.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/parameter_table.h"
#include "model/shard_map.h"

namespace cola {

/// What is kept of every parameter, and the names of the datasets that hold it: "weights", "exp_avg",
/// "exp_avg_sq".
enum class StateTensor { weights, exp_avg, exp_avg_sq };
inline constexpr std::array all_state_tensors = {StateTensor::weights, StateTensor::exp_avg,
                                                 StateTensor::exp_avg_sq};
std::string name_of(StateTensor tensor);

/// The values of one dataset of a shard file: where their bytes lie, and the xxh3 of them as they were handed
/// over to be saved.
struct DatasetRecord {
  std::int64_t offset = 0, bytes = 0;
  std::string checksum;
};

/// One shard file as it was written.
struct ShardRecord {
  std::string file = {};                // inside the checkpoint's folder, shard-00000.h5
  std::uint64_t bytes = 0;              // size of the file
  std::string checksum = {};            // xxh3 (128 bits, hexadecimal) of the whole file
  std::vector<ShardRange> ranges = {};  // global flat elements, and where they lie in each of its datasets
  // In the order of all_state_tensors; empty in checkpoints of versions that kept none.
  std::array<DatasetRecord, all_state_tensors.size()> datasets = {};
};

/// One of the corpora that a run blends: the next `files` of its data, and the parts of what it reads that
/// come from them, out of the sum of all (CorpusBlend).
struct CorpusRecord {
  std::int64_t files = 0, parts = 0;
  bool operator==(const CorpusRecord&) const = default;
};

/// What a run trains on, to tell whether it goes on with the same: the order of samples depends on it.
struct DataRecord {
  std::int64_t files = 0, tokens = 0, samples = 0;
  std::string tokenizer;  // name and hash
  std::string checksum;   // xxh3 of the files' names without folders and their sizes, in order
  std::vector<CorpusRecord> corpora = {};  // none where all files are one
  bool operator==(const DataRecord&) const = default;
};

struct Manifest {
  std::int64_t step = 0;         // optimizer updates done
  std::int64_t next_sample = 0;  // position in the sample order: the whole data state
  std::int64_t tokens = 0;       // tokens trained on so far
  std::uint64_t seed = 0;
  std::string configuration;  // the run's resolved YAML
  std::vector<Parameter> parameters;
  std::vector<Unit> units;
  std::vector<ShardRecord> shards;
  std::optional<DataRecord> data = {};  // of the training data; none in checkpoints of versions without it

  /// Stored elements of all parameters, padding included: the size of the flat space that ranges speak of.
  std::int64_t total_elements() const;
  /// Bytes of all shard files.
  std::uint64_t total_bytes() const;
};

/// "[258, 24]", or "[24]" for a vector.
std::string shape_text(const Parameter& parameter);

/// JSON text, the last field being a checksum over all that stands before it.
std::string to_json(const Manifest& manifest);
/// Throws FileError naming `origin` if the text is no manifest, of another format version, or fails its
/// checksum.
Manifest manifest_from_json(const std::string& json, const std::string& origin);

/// A shard's record alone, as a rank tells it to another. The latter throws an exception if it is none.
std::string to_json(const ShardRecord& shard);
ShardRecord shard_record_from_json(const std::string& json);

/// Throws FileError, naming the first tensor that differs, if a checkpoint does not fit a model.
void require_same_parameters(const Manifest& manifest, const ParameterTable& table,
                             const std::string& origin);

/// Throws FileError unless the shards' ranges hold every element of the parameters exactly once.
void require_complete_shards(const Manifest& manifest, const std::string& origin);

}  // namespace cola
