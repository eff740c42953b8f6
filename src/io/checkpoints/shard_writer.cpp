#include "io/checkpoints/shard_writer.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/error.h"
#include "core/fault_point.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/files/hdf5_file.h"

namespace cola {

namespace {

// Large enough for disks, which get one block at a time, small enough to keep an even pace.
constexpr std::size_t block_bytes = std::size_t{16} << 20;

// So much stays in a core's cache, for the second checksum to find it there.
constexpr std::size_t cached_bytes = std::size_t{64} << 10;

// What HDF5 itself and the table of ranges take in a file, at most.
constexpr std::uint64_t header_bytes = std::uint64_t{128} << 10;

constexpr const char* description =
    "One shard of a training state: flat fp32 master weights and AdamW moments. Each row (begin, end, local) "
    "of the attribute ranges says that elements local to local + end - begin of every dataset are elements "
    "begin to end of the flat space of all parameters, which manifest.json beside this file describes by "
    "name.";

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

// The path of the shard's file, in a folder that may take it.
std::string prepare(const std::string& folder, const ShardLayout& layout, std::int64_t elements) {
  for (const ShardRange& range : layout.ranges)
    if (range.local < 0 || range.local + range.elements() > elements)
      throw Error("shard {}: elements {} to {} lie outside its {} elements", layout.shard, range.begin,
                  range.end, elements);
  const std::string path = folder + "/" + shard_name(layout.shard);
  require_free_space(folder, shard_bytes(elements), path);
  make_folder(folder);
  if (is_committed(folder))
    throw FileError("{}: is a committed checkpoint already, and will not be written into", folder);
  return path;
}

}  // namespace

std::string shard_name(int shard) {
  return fmt::format("shard-{:05d}.h5", shard);
}

std::uint64_t shard_bytes(std::int64_t elements) {
  return static_cast<std::uint64_t>(elements) * all_state_tensors.size() * sizeof(float) + header_bytes;
}

std::uint64_t checkpoint_bytes(const ShardMap& map) {
  return static_cast<std::uint64_t>(map.shards()) * shard_bytes(map.shard_elements());
}

void require_free_space(const std::string& folder, std::uint64_t bytes, const std::string& what) {
  std::filesystem::path place = std::filesystem::absolute(folder);
  std::error_code problem;
  while (!std::filesystem::exists(place, problem) && place.has_relative_path()) place = place.parent_path();
  const std::filesystem::space_info space = std::filesystem::space(place, problem);
  if (problem)
    throw FileError("{}: cannot tell how much room is left: {}", place.string(), problem.message());
  if (space.available < bytes)
    throw FileError("{}: No space left on device: {} bytes are free, {} are needed", what, space.available,
                    bytes);
}

ShardWriter::ShardWriter(const std::string& folder, const ShardLayout& layout, std::int64_t elements,
                         WritePace pace)
    : record_{.file = shard_name(layout.shard), .ranges = layout.ranges},
      dataset_bytes_(elements * static_cast<std::int64_t>(sizeof(float))),
      temporary_(prepare(folder, layout, elements)),
      file_((lay_out(layout), FileDescriptor::open_to_write(temporary_.temporary_path()))),
      pace_(std::move(pace)) {
  file_.bypass_cache();  // the copy into it would cost more than all else, and push out what training reads
  fault_point("shard_begin");
}

void ShardWriter::lay_out(const ShardLayout& layout) {
  Hdf5File file = Hdf5File::create(temporary_.temporary_path());
  describe(file, layout);
  for (const StateTensor tensor : all_state_tensors)
    offsets_[static_cast<std::size_t>(tensor)] =
        file.reserve(name_of(tensor), {dataset_bytes_ / static_cast<std::int64_t>(sizeof(float))});
  file.close();
  // Checksums are taken front to back while the data go by.
  if (!std::is_sorted(offsets_.begin(), offsets_.end()))
    throw FileError("{}: HDF5 did not lay the datasets out in order", temporary_.temporary_path());
}

void ShardWriter::append(std::span<const float> values) {
  std::span<const std::byte> rest = std::as_bytes(values);
  if (appended_ + static_cast<std::int64_t>(rest.size()) > values_bytes())
    throw Error("{}: more values than its datasets hold", record_.file);
  while (!rest.empty()) {
    const std::int64_t begin = appended_ % dataset_bytes_;
    const auto block =
        rest.first(std::min({rest.size(), block_bytes, static_cast<std::size_t>(dataset_bytes_ - begin)}));
    write_block(static_cast<std::size_t>(appended_ / dataset_bytes_), begin, block);
    rest = rest.subspan(block.size());
  }
}

void ShardWriter::write_block(std::size_t dataset, std::int64_t begin, std::span<const std::byte> bytes) {
  const std::int64_t offset = offsets_[dataset] + begin;
  if (begin == 0) account_until(offset);
  for (auto rest = bytes; !rest.empty(); rest = rest.subspan(std::min(rest.size(), cached_bytes))) {
    const auto stretch = rest.first(std::min(rest.size(), cached_bytes));
    data_[dataset].update(stretch);
    whole_.update(stretch);
  }
  file_.write_at(offset, bytes);
  file_.start_flush(offset, bytes.size());
  appended_ += static_cast<std::int64_t>(bytes.size());
  accounted_ += static_cast<std::int64_t>(bytes.size());
  fault_point("shard_write");
  pace_.spend(bytes.size());
}

// What lies between the data is HDF5's, and is taken from the file.
void ShardWriter::account_until(std::int64_t end) {
  std::vector<std::byte> between(static_cast<std::size_t>(end - accounted_));
  file_.read_at(accounted_, between);
  whole_.update(between);
  accounted_ = end;
}

ShardRecord ShardWriter::commit(bool verify) {
  if (appended_ != values_bytes()) throw Error("{}: values are missing", record_.file);
  record_.bytes = static_cast<std::uint64_t>(file_.bytes());
  account_until(file_.bytes());
  record_.checksum = whole_.digits();
  for (std::size_t dataset = 0; dataset < data_.size(); ++dataset)
    record_.datasets[dataset] = {offsets_[dataset], dataset_bytes_, data_[dataset].digits()};
  fault_point("shard_flush");
  if (verify) temporary_.read_back(file_, record_.checksum);
  temporary_.commit(std::move(file_));
  fault_point("shard_commit");
  return record_;
}

}  // namespace cola
