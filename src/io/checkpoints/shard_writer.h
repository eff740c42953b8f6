// ShardWriter: writes one shard's file as its values arrive, taking the checksums on the way.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/checkpoints/manifest.h"
#include "io/files/checksum.h"
#include "io/files/durable_file.h"
#include "io/files/write_pace.h"
#include "model/shard_map.h"

namespace cola {

/// Which elements a shard holds, and where.
struct ShardLayout {
  int shard = 0, shards = 1;
  std::vector<ShardRange> ranges;
};

class ShardWriter {
 public:
  /// Lays out folder/shard-NNNNN.h5 under a temporary name; each of its three datasets has `elements`. The
  /// folder is made if it is missing; a committed checkpoint in it is never written into, and nothing is
  /// begun where the disk has less room than the file needs (FileError).
  ShardWriter(const std::string& folder, const ShardLayout& layout, std::int64_t elements,
              WritePace pace = {});

  /// The next values: first all weights, then all of exp_avg, then all of exp_avg_sq, in pieces of any size.
  /// Throws FileError with the system's reason; the file is then gone when this is destroyed.
  void append(std::span<const float> values);

  /// After all values: flushes, renames and flushes the folder. With `verify` the file is read back from the
  /// disk before it gets its name, and must have the bytes that were meant. Throws FileError.
  ShardRecord commit(bool verify = false);

 private:
  void lay_out(const ShardLayout& layout);
  void write_block(std::size_t dataset, std::int64_t begin, std::span<const std::byte> bytes);
  void account_until(std::int64_t end);
  std::int64_t values_bytes() const {
    return static_cast<std::int64_t>(all_state_tensors.size()) * dataset_bytes_;
  }

  ShardRecord record_;
  std::int64_t dataset_bytes_;
  TemporaryFile temporary_;
  std::array<std::int64_t, all_state_tensors.size()> offsets_{};  // of the datasets in the file, rising
  FileDescriptor file_;
  WritePace pace_;
  std::int64_t appended_ = 0;   // bytes of values
  std::int64_t accounted_ = 0;  // bytes of the file that whole_ has seen
  Checksum whole_;
  std::array<Checksum, all_state_tensors.size()> data_;
};

/// shard-00000.h5
std::string shard_name(int shard);

/// What a shard's file takes on disk, at most, if each dataset has `elements`.
std::uint64_t shard_bytes(std::int64_t elements);
/// What a checkpoint of all shards takes.
std::uint64_t checkpoint_bytes(const ShardMap& map);

/// Throws FileError, naming both numbers, unless the file system of `folder` (or of the nearest folder above
/// that exists) has room for `bytes` more; `what` needs them.
void require_free_space(const std::string& folder, std::uint64_t bytes, const std::string& what);

}  // namespace cola
