#include "model/shard_map.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "core/error.h"

namespace cola {
namespace {

ParameterTable small_table() {
  ModelConfiguration c;
  c.vocab_size = 37;
  c.hidden_size = 16;
  c.intermediate_size = 43;
  c.num_hidden_layers = 3;
  c.num_attention_heads = 2;
  c.num_key_value_heads = 1;
  c.rank = 4;
  return ParameterTable(c);
}

TEST(ShardMap, EveryElementHasOneOwner) {
  const ParameterTable table = small_table();
  for (int shards = 1; shards <= 7; ++shards) {
    const ShardMap map(table, shards);
    std::vector<int> owners(static_cast<std::size_t>(table.stored_elements()), 0);
    for (int shard = 0; shard < shards; ++shard)
      for (const ShardRange& range : map.ranges(shard))
        for (std::int64_t element = range.begin; element < range.end; ++element)
          ++owners.at(static_cast<std::size_t>(element));
    EXPECT_EQ(owners, std::vector<int>(owners.size(), 1)) << shards << " shards";
  }
}

TEST(ShardMap, RangesFitTheirShardAndRiseWithoutOverlap) {
  const ParameterTable table = small_table();
  for (int shards = 1; shards <= 7; ++shards) {
    const ShardMap map(table, shards);
    for (int shard = 0; shard < shards; ++shard) {
      std::int64_t end = 0, local_end = 0;
      for (const ShardRange& range : map.ranges(shard)) {
        EXPECT_LT(range.begin, range.end);
        EXPECT_GE(range.begin, end);
        EXPECT_GE(range.local, local_end);
        EXPECT_EQ(range.local % 64, 0);
        end = range.end;
        local_end = range.local + range.elements();
      }
      EXPECT_LE(local_end, map.shard_elements());
    }
  }
}

// What a collective relies on: shard s of a unit is the stretch [s * chunk, (s + 1) * chunk) of its padded
// buffer.
TEST(ShardMap, ChunksAreEqualAlignedAndInOrder) {
  const ParameterTable table = small_table();
  for (int shards = 1; shards <= 7; ++shards) {
    const ShardMap map(table, shards);
    ASSERT_EQ(map.units(), static_cast<int>(table.units().size()));
    std::int64_t local = 0;
    for (int unit = 0; unit < map.units(); ++unit) {
      const Unit& described = table.units()[static_cast<std::size_t>(unit)];
      const std::int64_t chunk = map.chunk_elements(unit);
      EXPECT_EQ(chunk % 64, 0);
      EXPECT_EQ(map.padded_elements(unit), chunk * shards);
      EXPECT_GE(map.padded_elements(unit), described.elements);
      EXPECT_LT(map.padded_elements(unit), described.elements + 64 * shards);
      EXPECT_EQ(map.local_offset(unit), local);
      EXPECT_EQ(map.padded_offset(unit), local * shards);
      for (int shard = 0; shard < shards; ++shard) {
        for (const ShardRange& range : map.ranges(shard)) {
          const bool of_unit =
              range.begin >= described.offset && range.end <= described.offset + described.elements;
          if (!of_unit) continue;
          EXPECT_EQ(range.begin, described.offset + shard * chunk);
          EXPECT_EQ(range.local, local);
        }
      }
      local += chunk;
    }
    EXPECT_EQ(map.shard_elements(), local);
    EXPECT_EQ(map.padded_total(), local * shards);
  }
}

TEST(ShardMap, OneShardOwnsEveryUnitWhole) {
  const ParameterTable table = small_table();
  const ShardMap map(table, 1);
  const std::vector<ShardRange> ranges = map.ranges(0);
  ASSERT_EQ(ranges.size(), table.units().size());
  for (std::size_t unit = 0; unit < ranges.size(); ++unit) {
    const Unit& described = table.units()[unit];
    const ShardRange expected{described.offset, described.offset + described.elements,
                              map.local_offset(static_cast<int>(unit))};
    EXPECT_EQ(ranges[unit], expected);
  }
}

TEST(ShardMap, MoreShardsThanElementsLeaveSomeEmpty) {
  const ParameterTable table = small_table();
  const int shards = 5000;
  const ShardMap map(table, shards);
  std::int64_t owned = 0;
  for (int shard = 0; shard < shards; ++shard)
    for (const ShardRange& range : map.ranges(shard)) owned += range.elements();
  EXPECT_EQ(owned, table.stored_elements());
  EXPECT_TRUE(map.ranges(shards - 1).empty());
}

TEST(ShardMap, NeedsAtLeastOneShard) {
  EXPECT_THROW(ShardMap(small_table(), 0), Error);
  EXPECT_THROW(ShardMap(small_table(), -2), Error);
}

}  // namespace
}  // namespace cola
