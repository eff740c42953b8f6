#include "io/checkpoints/shard_file.h"

#include <algorithm>

#include "core/error.h"
#include "io/files/checksum.h"
#include "io/files/durable_file.h"

namespace cola {

namespace {

// The bytes of a block at `offset` of a file that belong to a dataset.
std::span<const std::byte> overlap(std::int64_t offset, std::span<const std::byte> block,
                                   const DatasetRecord& data) {
  const std::int64_t first = std::max(offset, data.offset);
  const std::int64_t last =
      std::min(offset + static_cast<std::int64_t>(block.size()), data.offset + data.bytes);
  if (first >= last) return {};
  return block.subspan(static_cast<std::size_t>(first - offset), static_cast<std::size_t>(last - first));
}

}  // namespace

ShardRecord write_shard(const std::string& folder, const ShardLayout& layout, const ShardState& state) {
  if (state.exp_avg.size() != state.weights.size() || state.exp_avg_sq.size() != state.weights.size())
    throw Error("shard {}: weights and moments differ in size", layout.shard);
  ShardWriter writer(folder, layout, static_cast<std::int64_t>(state.weights.size()));
  for (const std::span<const float> values : {state.weights, state.exp_avg, state.exp_avg_sq})
    writer.append(values);
  return writer.commit();
}

void require_shard_size(const std::string& folder, const ShardRecord& record) {
  const std::string path = folder + "/" + record.file;
  const auto bytes = static_cast<std::uint64_t>(FileDescriptor::open_to_read(path).bytes());
  if (bytes != record.bytes)
    throw FileError("{}: damaged: {} bytes, the manifest says {}", path, bytes, record.bytes);
}

void verify_shard(const std::string& folder, const ShardRecord& record) {
  require_shard_size(folder, record);
  const std::string path = folder + "/" + record.file;
  Checksum whole;
  std::array<Checksum, all_state_tensors.size()> data;
  FileDescriptor::open_to_read(path).for_each_block(
      [&](std::int64_t offset, std::span<const std::byte> block) {
        whole.update(block);
        for (std::size_t i = 0; i < data.size(); ++i)
          data[i].update(overlap(offset, block, record.datasets[i]));
      });
  if (whole.digits() != record.checksum)
    throw FileError("{}: damaged: its checksum does not match the manifest", path);
  for (const StateTensor tensor : all_state_tensors) {
    const auto i = static_cast<std::size_t>(tensor);
    if (!record.datasets[i].checksum.empty() && data[i].digits() != record.datasets[i].checksum)
      throw FileError("{}: damaged: {} is not what was handed over to be saved", path, name_of(tensor));
  }
}

namespace {
Hdf5File open_shard(const std::string& folder, const ShardRecord& record) {
  require_shard_size(folder, record);
  return Hdf5File::open(folder + "/" + record.file);
}
}  // namespace

ShardReader::ShardReader(const std::string& folder, const ShardRecord& record)
    : file_(open_shard(folder, record)) {}

void ShardReader::read(StateTensor tensor, std::int64_t local, std::span<float> values) const {
  file_.read(name_of(tensor), local, values);
}

}  // namespace cola
