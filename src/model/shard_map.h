// ShardMap: which rank owns which stretch of each unit. Pure arithmetic over (parameter table, number of
// shards), shared by optimizer, collectives and checkpoint; works for any number of shards.
#pragma once

#include <cstdint>
#include <vector>

#include "model/parameter_table.h"

namespace cola {

/// Elements [begin, end) of the flat space of all stored parameters, at `local` in the shard that owns them.
struct ShardRange {
  std::int64_t begin = 0, end = 0, local = 0;
  std::int64_t elements() const { return end - begin; }
  bool operator==(const ShardRange&) const = default;
};

class ShardMap {
 public:
  /// Splits every unit of `table` into `shards` equal chunks, the last ones padded. Throws Error unless
  /// shards >= 1.
  ShardMap(const ParameterTable& table, int shards);

  int shards() const { return shards_; }
  int units() const { return static_cast<int>(unit_elements_.size()); }

  /// Elements of one chunk of a unit: a multiple of 64, so that every chunk is aligned; the same for every
  /// shard.
  std::int64_t chunk_elements(int unit) const;
  /// chunk_elements * shards: what a unit occupies in buffers that collectives work on.
  std::int64_t padded_elements(int unit) const;
  /// Where the unit's chunk begins in a shard's flat memory, and what the whole shard occupies (equal for all
  /// shards).
  std::int64_t local_offset(int unit) const;
  std::int64_t shard_elements() const { return local_offset(units()); }
  /// Where the unit begins in a buffer of all padded units, and that buffer's size.
  std::int64_t padded_offset(int unit) const { return local_offset(unit) * shards_; }
  std::int64_t padded_total() const { return padded_offset(units()); }

  /// The real (unpadded) elements that `shard` owns, in rising order, at most one range a unit.
  std::vector<ShardRange> ranges(int shard) const;

 private:
  int shards_;
  std::vector<std::int64_t> unit_elements_;
  std::vector<std::int64_t> unit_offsets_;  // in the flat space of all stored parameters
};

}  // namespace cola
