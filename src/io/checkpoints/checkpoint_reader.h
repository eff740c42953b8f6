// CheckpointReader: the state of a committed checkpoint by global flat elements or by tensor, whatever number
// of shards it was written as.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "io/checkpoints/manifest.h"
#include "io/checkpoints/shard_file.h"

namespace cola {

/// What a shard's file must pass before the first of it is used: its size, or its checksums as well, for
/// which the file is read once more.
enum class ShardCheck { size, checksum };

class CheckpointReader {
 public:
  /// Reads folder/manifest.json. Throws FileError.
  explicit CheckpointReader(const std::string& folder, ShardCheck check = ShardCheck::checksum);
  CheckpointReader(std::string folder, Manifest manifest, ShardCheck check);

  const Manifest& manifest() const { return manifest_; }
  const std::string& folder() const { return folder_; }

  /// Reads elements [range.begin, range.end) into values[range.local...] for every range; each piece that is
  /// contiguous in a shard is read once. Throws FileError if an element is in no shard, or in one that is
  /// damaged.
  void read(StateTensor tensor, std::span<const ShardRange> ranges, std::span<float> values);

  /// A parameter [rows, columns] or one of its moments, without its padding.
  std::vector<float> read_tensor(const Parameter& parameter, StateTensor tensor);

 private:
  // Elements [begin, end), in the shard at `local`.
  struct Source {
    ShardRange range;
    std::size_t shard = 0;
  };
  // What one read call fetches: `elements` from `source` of a shard to `target` of the values.
  struct Piece {
    std::size_t shard = 0;
    std::int64_t source = 0, target = 0, elements = 0;
  };
  std::vector<Piece> pieces(std::span<const ShardRange> ranges, std::int64_t capacity) const;
  void add_pieces(const ShardRange& target, std::vector<Piece>& result) const;
  const ShardReader& shard(std::size_t index);

  std::string folder_;
  Manifest manifest_;
  ShardCheck check_;
  std::vector<Source> sources_;  // by begin
  std::map<std::size_t, ShardReader> open_;
  std::set<std::size_t> verified_;
};

}  // namespace cola
