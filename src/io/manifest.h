// Manifest: what a checkpoint consists of. Pure data and its JSON form; no file is touched here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/parameter_table.h"
#include "model/shard_map.h"

namespace cola {

/// One shard file as it was written.
struct ShardRecord {
  std::string file;                // inside the checkpoint's folder, shard-00000.h5
  std::uint64_t bytes = 0;         // size of the file
  std::string checksum;            // xxh3 (128 bits, hexadecimal) of the whole file
  std::vector<ShardRange> ranges;  // global flat elements, and where they lie in each of its datasets
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

/// Throws FileError, naming the first tensor that differs, if a checkpoint does not fit a model.
void require_same_parameters(const Manifest& manifest, const ParameterTable& table,
                             const std::string& origin);

/// Throws FileError unless the shards' ranges hold every element of the parameters exactly once.
void require_complete_shards(const Manifest& manifest, const std::string& origin);

}  // namespace cola
