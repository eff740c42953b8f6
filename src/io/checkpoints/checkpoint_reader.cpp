#include "io/checkpoints/checkpoint_reader.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/error.h"
#include "io/checkpoints/checkpoint_directory.h"

namespace cola {

namespace {
constexpr std::size_t most_open_files = 256;  // well below the usual limit of 1024 a process
}

CheckpointReader::CheckpointReader(const std::string& folder, ShardCheck check)
    : CheckpointReader(folder, read_manifest(folder), check) {}

CheckpointReader::CheckpointReader(std::string folder, Manifest manifest, ShardCheck check)
    : folder_(std::move(folder)), manifest_(std::move(manifest)), check_(check) {
  for (std::size_t shard = 0; shard < manifest_.shards.size(); ++shard)
    for (const ShardRange& range : manifest_.shards[shard].ranges) sources_.push_back({range, shard});
  std::sort(sources_.begin(), sources_.end(),
            [](const Source& a, const Source& b) { return a.range.begin < b.range.begin; });
}

void CheckpointReader::add_pieces(const ShardRange& target, std::vector<Piece>& result) const {
  auto source =
      std::upper_bound(sources_.begin(), sources_.end(), target.begin,
                       [](std::int64_t begin, const Source& one) { return begin < one.range.begin; });
  if (source != sources_.begin()) --source;
  for (std::int64_t begin = target.begin; begin < target.end; ++source) {
    if (source == sources_.end() || begin < source->range.begin || begin >= source->range.end)
      throw FileError("{}: no shard holds element {}", folder_, begin);
    const std::int64_t elements = std::min(target.end, source->range.end) - begin;
    result.push_back({source->shard, source->range.local + begin - source->range.begin,
                      target.local + begin - target.begin, elements});
    begin += elements;
  }
}

std::vector<CheckpointReader::Piece> CheckpointReader::pieces(std::span<const ShardRange> ranges,
                                                              std::int64_t capacity) const {
  std::vector<Piece> all, joined;
  for (const ShardRange& range : ranges) {
    if (range.local < 0 || range.local + range.elements() > capacity)
      throw Error("elements {} to {} do not fit into {} values", range.begin, range.end, capacity);
    add_pieces(range, all);
  }
  std::sort(all.begin(), all.end(), [](const Piece& a, const Piece& b) {
    return std::tie(a.shard, a.source) < std::tie(b.shard, b.source);
  });
  for (const Piece& piece : all) {
    const bool continues = !joined.empty() && joined.back().shard == piece.shard &&
                           joined.back().source + joined.back().elements == piece.source &&
                           joined.back().target + joined.back().elements == piece.target;
    if (continues)
      joined.back().elements += piece.elements;
    else
      joined.push_back(piece);
  }
  return joined;
}

const ShardReader& CheckpointReader::shard(std::size_t index) {
  if (check_ == ShardCheck::checksum && !verified_.contains(index)) {
    verify_shard(folder_, manifest_.shards[index]);
    verified_.insert(index);
  }
  if (open_.size() >= most_open_files && !open_.contains(index)) open_.clear();
  return open_.try_emplace(index, folder_, manifest_.shards[index]).first->second;
}

void CheckpointReader::read(StateTensor tensor, std::span<const ShardRange> ranges, std::span<float> values) {
  for (const Piece& piece : pieces(ranges, static_cast<std::int64_t>(values.size())))
    shard(piece.shard)
        .read(
            tensor, piece.source,
            values.subspan(static_cast<std::size_t>(piece.target), static_cast<std::size_t>(piece.elements)));
}

std::vector<float> CheckpointReader::read_tensor(const Parameter& parameter, StateTensor tensor) {
  const std::int64_t begin =
      manifest_.units[static_cast<std::size_t>(parameter.unit)].offset + parameter.offset;
  const ShardRange whole{begin, begin + parameter.stored_elements(), 0};
  std::vector<float> values(static_cast<std::size_t>(parameter.stored_elements()));
  read(tensor, {&whole, 1}, values);
  for (std::int64_t row = 1; row < parameter.rows; ++row)  // closes the gaps; row 0 is in place
    std::copy_n(values.begin() + row * parameter.stored_columns, parameter.columns,
                values.begin() + row * parameter.columns);
  values.resize(static_cast<std::size_t>(parameter.elements()));
  return values;
}

}  // namespace cola
