// ShardFile: the HDF5 bytes of one rank's part of a checkpoint: /weights, /exp_avg, /exp_avg_sq, fp32,
// contiguous.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/checkpoints/manifest.h"
#include "io/checkpoints/shard_writer.h"
#include "io/files/hdf5_file.h"

namespace cola {

/// One rank's flat training state in host memory; all three of equal size, laid out as the record's ranges
/// say.
struct ShardState {
  std::span<const float> weights, exp_avg, exp_avg_sq;
};

/// Writes folder/file durably; see ShardWriter. Throws FileError.
ShardRecord write_shard(const std::string& folder, const ShardLayout& layout, const ShardState& state);

/// Size of a file as it is on disk now against its record: quick. Throws FileError naming the file.
void require_shard_size(const std::string& folder, const ShardRecord& record);
/// A file as it is on disk now against its record, in one pass: its size, its checksum, and the checksums of
/// what it holds. Throws FileError naming the file.
void verify_shard(const std::string& folder, const ShardRecord& record);

/// A shard file open for reading. Throws FileError if it is missing, no HDF5, or not of the recorded size.
class ShardReader {
 public:
  ShardReader(const std::string& folder, const ShardRecord& record);
  /// Reads `values.size()` elements at element `local` of one dataset.
  void read(StateTensor tensor, std::int64_t local, std::span<float> values) const;

 private:
  Hdf5File file_;
};

}  // namespace cola
