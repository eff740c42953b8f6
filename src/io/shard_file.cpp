#include "io/shard_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "io/checkpoint_directory.h"
#include "io/checksum.h"
#include "io/durable_file.h"

namespace cola {

namespace {

// One dataset: its values, and where in the file they belong.
struct Placed {
  std::int64_t offset = 0;
  std::span<const std::byte> bytes;
};
using Placement = std::array<Placed, 3>;

constexpr const char* description =
    "One shard of a training state: flat fp32 master weights and AdamW moments. Each row (begin, end, local) "
    "of the "
    "attribute ranges says that elements local to local + end - begin of every dataset are elements begin to "
    "end of "
    "the flat space of all parameters, which manifest.json beside this file describes by name.";

void describe(Hdf5File& file, const ShardLayout& layout) {
  std::vector<std::int64_t> table;
  for (const ShardRange& range : layout.ranges)
    table.insert(table.end(), {range.begin, range.end, range.local});
  file.write_attribute("/", "format", std::string("cola checkpoint shard"));
  file.write_attribute("/", "format_version", 1);
  file.write_attribute("/", "description", std::string(description));
  file.write_attribute("/", "shard", layout.shard);
  file.write_attribute("/", "shards", layout.shards);
  if (!table.empty()) file.write_attribute("/", "ranges", table, 3);
}

Placement lay_out(const std::string& path, const ShardLayout& layout, const ShardState& state) {
  Hdf5File file = Hdf5File::create(path);
  describe(file, layout);
  const auto place = [&](StateTensor tensor, std::span<const float> values) {
    const std::int64_t offset = file.reserve(name_of(tensor), {static_cast<std::int64_t>(values.size())});
    return Placed{offset, std::as_bytes(values)};
  };
  const Placement placement = {place(StateTensor::weights, state.weights),
                               place(StateTensor::exp_avg, state.exp_avg),
                               place(StateTensor::exp_avg_sq, state.exp_avg_sq)};
  file.close();
  return placement;
}

bool same_where_they_overlap(const Placed& placed, std::int64_t offset, std::span<const std::byte> block) {
  const auto end = [](std::int64_t begin, std::span<const std::byte> bytes) {
    return begin + static_cast<std::int64_t>(bytes.size());
  };
  const std::int64_t first = std::max(offset, placed.offset);
  const std::int64_t last = std::min(end(offset, block), end(placed.offset, placed.bytes));
  return first >= last ||
         std::memcmp(block.data() + (first - offset), placed.bytes.data() + (first - placed.offset),
                     static_cast<std::size_t>(last - first)) == 0;
}

// Size and checksum of the file as it can be read again. That it holds what was meant is compared on the way:
// a checksum alone would bless zeros that a full disk left behind.
void read_back(const std::string& path, const Placement& placement, ShardRecord& record) {
  Checksum checksum;
  FileDescriptor::open_to_read(path).for_each_block(
      [&](std::int64_t offset, std::span<const std::byte> block) {
        checksum.update(block);
        record.bytes += block.size();
        for (const Placed& placed : placement)
          if (!same_where_they_overlap(placed, offset, block))
            throw FileError("{}: reads back other bytes than were written, near byte {}", path, offset);
      });
  const Placed& last = placement.back();
  if (record.bytes < static_cast<std::uint64_t>(last.offset) + last.bytes.size())
    throw FileError("{}: reads back shorter than it was written", path);
  record.checksum = checksum.digits();
}

void require_sound(const ShardLayout& layout, const ShardState& state) {
  const auto size = static_cast<std::int64_t>(state.weights.size());
  if (state.exp_avg.size() != state.weights.size() || state.exp_avg_sq.size() != state.weights.size())
    throw Error("shard {}: weights and moments differ in size", layout.shard);
  for (const ShardRange& range : layout.ranges)
    if (range.local < 0 || range.local + range.elements() > size)
      throw Error("shard {}: elements {} to {} lie outside its {} elements", layout.shard, range.begin,
                  range.end, size);
}

void prepare_folder(const std::string& folder) {
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem) throw FileError("{}: cannot make the folder: {}", folder, problem.message());
  if (is_committed(folder))
    throw FileError("{}: is a committed checkpoint already, and will not be written into", folder);
}

}  // namespace

std::string name_of(StateTensor tensor) {
  switch (tensor) {
    case StateTensor::weights:
      return "weights";
    case StateTensor::exp_avg:
      return "exp_avg";
    case StateTensor::exp_avg_sq:
      break;
  }
  return "exp_avg_sq";
}

std::string shard_name(int shard) {
  return fmt::format("shard-{:05d}.h5", shard);
}

ShardRecord write_shard(const std::string& folder, int shard, const ShardMap& map, const ShardState& state) {
  if (static_cast<std::int64_t>(state.weights.size()) != map.shard_elements())
    throw Error("shard {} has {} elements, not {}", shard, map.shard_elements(), state.weights.size());
  return write_shard(folder, {shard, map.shards(), map.ranges(shard)}, state);
}

ShardRecord write_shard(const std::string& folder, const ShardLayout& layout, const ShardState& state) {
  require_sound(layout, state);
  prepare_folder(folder);
  ShardRecord record{shard_name(layout.shard), 0, "", layout.ranges};
  TemporaryFile temporary(folder + "/" + record.file);
  const Placement placement = lay_out(temporary.temporary_path(), layout, state);
  FileDescriptor file = FileDescriptor::open_to_write(temporary.temporary_path());
  for (const Placed& placed : placement) file.write_at(placed.offset, placed.bytes);
  file.close();
  read_back(temporary.temporary_path(), placement, record);
  temporary.commit();
  return record;
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
  if (checksum_of_file(path) != record.checksum)
    throw FileError("{}: damaged: its checksum does not match the manifest", path);
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

void read_shard(const std::string& folder, const ShardRecord& record, StateTensor tensor, std::int64_t local,
                std::span<float> values) {
  ShardReader(folder, record).read(tensor, local, values);
}

}  // namespace cola
