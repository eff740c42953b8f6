// The plan of a tokenization: which rank reads which parts of which files. One process looks at the files and
// tells all others what it saw: each by itself might see a growing file, or a network file system's old copy
// of its size, and plan something else.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/text/document_reader.h"

namespace cola {

/// A file, and its size in bytes when it was looked at.
struct InputFile {
  std::string path;
  std::int64_t bytes = 0;
  bool operator==(const InputFile&) const = default;
};

/// The files of these names, without duplicates.
std::vector<InputFile> find_input_files(const std::vector<std::string>& paths);

/// Input files as text, so that one process may look at them for many.
std::string to_text(std::span<const InputFile> files);
std::vector<InputFile> input_files_from_text(const std::string& text);

/// A compressed byte on disk is as much work as this many plain ones.
constexpr std::int64_t compressed_cost = 3;

/// A piece of work, and about how much it is: bytes on disk, compressed ones counted compressed_cost fold.
struct WorkItem {
  TextSegment segment;
  std::int64_t cost = 0;
  std::int64_t file_bytes = 0;  // of the whole file, as planned
};

/// A pure function: uncompressed files are divided into segments of about `segment_bytes`, but where
/// `document_bytes` is 0 and plain text is one document. Documents, and with them the result, do not depend
/// on the number of ranks.
std::vector<WorkItem> plan_work(std::span<const InputFile> files, std::int64_t document_bytes,
                                std::int64_t segment_bytes = std::int64_t{16} << 20);

/// The items of one rank, in order: largest first to whoever has least.
std::vector<WorkItem> work_of_rank(const std::vector<WorkItem>& items, int rank, int ranks);

/// Throws FileError naming the item's file if it is shorter now than it was planned with: some of its text
/// would be missing without a word. What was appended to it is left out, or read with its last document.
void require_unshrunk(const WorkItem& item);

}  // namespace cola
