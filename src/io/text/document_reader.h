// DocumentReader: documents out of text files: .txt, and .jsonl or .json with one object a line and its text
// in a field of it; each plain or compressed (.gz, .dz, .zst).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "io/text/text_source.h"

namespace cola {

enum class TextFormat { plain, json_lines };

/// By the name's end; dictzip files (.dz) of other names count as plain text. Throws UsageError naming the
/// file and what is known for any other.
TextFormat text_format_of(const std::string& path);

/// A file, or a part of an uncompressed one. The part begins and ends at the first divisions at or after
/// `begin` and `end`: in JSON the starts of lines, in plain text those of paragraphs (or of any line, where
/// no blank line follows within 1 MiB, or of any word, where not even a line ends). So whoever reads the next
/// part agrees on where they meet, and all parts together are the file.
struct TextSegment {
  std::string path;
  std::int64_t begin = 0, end = end_of_file;
};

/// A document that cannot be read, in a file that can: those behind it may be good.
class BadDocument : public FileError {
 public:
  using FileError::FileError;
};

/// How many lines of an uncompressed file lie before a place in it. Counts on from where it was asked for
/// last, so that to name bad lines in every part of a large file takes one more pass over it, not one for
/// each.
class LineCounter {
 public:
  /// `offset` is the start of a line.
  std::int64_t lines_before(const std::string& path, std::int64_t offset);

 private:
  std::string path_;
  std::int64_t offset_ = 0, lines_ = 0;
};

class DocumentReader {
 public:
  /// Plain text is cut at blank lines into documents of at least `document_bytes` bytes (the last may be
  /// shorter) that together are the text, byte for byte; 0 makes the whole file one document, in memory. Text
  /// without blank lines is cut after 1 MiB: at a line's end or, in a line of more than that, at white space;
  /// within 3 MiB in any case. `field` is that of JSON objects which holds the text. Throws FileError or
  /// UsageError. `counter` may know the file's lines already.
  DocumentReader(const TextSegment& segment, std::int64_t document_bytes, std::string field = "text",
                 LineCounter counter = {});

  /// The next document that is more than white space; a JSON object is held whole. False at the end. Throws
  /// BadDocument, behind which the next call goes on, naming file and line for a line that is no JSON object
  /// with a text in the field. Text that is not UTF-8 is passed on as it is; inside JSON its stray bytes, and
  /// halves of surrogate pairs, become U+FFFD. Other fields may hold numbers of any size, NaN and Infinity.
  bool next(std::string& document);

  /// Documents passed over because they held nothing but white space.
  std::int64_t empty_documents() const { return empty_documents_; }
  const LineCounter& line_counter() const { return counter_; }
  /// Bytes of the segment read so far, as they lie on disk.
  std::int64_t consumed() const { return source_.consumed(); }

 private:
  bool next_paragraphs(std::string& document);
  bool next_record(std::string& document);
  std::string text_of(std::string_view line);
  std::int64_t line_number();

  TextSegment segment_;
  TextFormat format_;
  std::int64_t document_bytes_;
  std::string field_;
  TextSource source_;
  std::string line_;
  bool line_is_pending_ = false;  // line_ has been read but belongs to the next document
  std::int64_t lines_ = 0;        // of the segment
  LineCounter counter_;           // of those before it
  std::int64_t empty_documents_ = 0;
};

}  // namespace cola
