#include "io/tokens/work_plan.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "io/files/file_descriptor.h"
#include "io/files/file_kind.h"

namespace cola {

namespace {

void add_segments(const InputFile& file, std::int64_t segment_bytes, std::vector<WorkItem>& items) {
  for (std::int64_t begin = 0; begin < file.bytes; begin += segment_bytes) {
    const std::int64_t end = std::min(begin + segment_bytes, file.bytes);
    items.push_back({{file.path, begin, end}, end - begin, file.bytes});
  }
}

}  // namespace

std::vector<InputFile> find_input_files(const std::vector<std::string>& paths) {
  std::vector<InputFile> files;
  std::set<std::string> seen;
  for (const std::string& path : paths)
    if (seen.insert(canonical_path(path)).second) files.push_back({path, size_of_file(path)});
  return files;
}

// A path may hold any byte but a zero, which therefore ends it.
std::string to_text(std::span<const InputFile> files) {
  std::string text;
  for (const InputFile& file : files) text += fmt::format("{} {}", file.bytes, file.path) + '\0';
  return text;
}

std::vector<InputFile> input_files_from_text(const std::string& text) {
  std::vector<InputFile> files;
  std::istringstream records(text);
  for (std::string record; std::getline(records, record, '\0');) {
    const std::size_t blank = record.find(' ');
    if (blank == std::string::npos) throw Error("'{}' is no input file and its size", record);
    files.push_back({record.substr(blank + 1), std::stoll(record.substr(0, blank))});
  }
  return files;
}

std::vector<WorkItem> plan_work(std::span<const InputFile> files, std::int64_t document_bytes,
                                std::int64_t segment_bytes) {
  std::vector<WorkItem> items;
  for (const InputFile& file : files) {
    const bool whole = document_bytes == 0 && text_format_of(file.path) == TextFormat::plain;
    if (compression_of(file.path) != Compression::none) {
      items.push_back({{file.path}, compressed_cost * file.bytes, file.bytes});
    } else if (whole) {
      items.push_back({{file.path}, file.bytes, file.bytes});
    } else {
      add_segments(file, segment_bytes, items);
    }
  }
  return items;
}

std::vector<WorkItem> work_of_rank(const std::vector<WorkItem>& items, int rank, int ranks) {
  std::vector<std::size_t> by_cost(items.size());
  std::iota(by_cost.begin(), by_cost.end(), 0);
  std::stable_sort(by_cost.begin(), by_cost.end(),
                   [&](std::size_t a, std::size_t b) { return items[a].cost > items[b].cost; });
  std::set<std::pair<std::int64_t, int>> loads;
  for (int r = 0; r < ranks; ++r) loads.insert({0, r});
  std::vector<std::size_t> mine;
  for (const std::size_t item : by_cost) {
    const auto [load, owner] = *loads.begin();
    loads.erase(loads.begin());
    loads.insert({load + items[item].cost, owner});
    if (owner == rank) mine.push_back(item);
  }
  std::sort(mine.begin(), mine.end());
  std::vector<WorkItem> work;
  for (const std::size_t item : mine) work.push_back(items[item]);
  return work;
}

void require_unshrunk(const WorkItem& item) {
  const std::int64_t bytes = FileDescriptor::open_to_read(item.segment.path).bytes();
  if (bytes < item.file_bytes)
    throw FileError("{}: has {} bytes, but had {} when the work began", item.segment.path, bytes,
                    item.file_bytes);
}

}  // namespace cola
