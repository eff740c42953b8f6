#include "io/text/document_reader.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "io/text/json_repair.h"

namespace cola {

namespace {

/// Text without blank lines is cut where it exceeds this, so that memory stays bounded.
constexpr std::int64_t longest_document = std::int64_t{1} << 20;

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

/// The next line of plain text, or a piece of one that is too long.
bool next_piece(TextSource& source, std::string& line) {
  return source.next_line(line, static_cast<std::size_t>(longest_document));
}

/// "column 7: syntax error while parsing value - unexpected ']'; expected ...", without the text that was
/// read.
std::string reason_of(const nlohmann::json::exception& problem) {
  const std::string_view words = problem.what();
  const std::size_t column = words.find("column "), name_end = words.find("] ");
  std::string_view reason = words;
  if (column != std::string_view::npos)
    reason.remove_prefix(column);
  else if (name_end != std::string_view::npos)
    reason.remove_prefix(name_end + 2);
  return std::string(reason.substr(0, reason.find("; last read")));
}

}  // namespace

TextFormat text_format_of(const std::string& path) {
  std::string name = path;
  const bool dictzip = name.ends_with(".dz");
  if (compression_of(path) != Compression::none) name.erase(name.rfind('.'));
  if (name.ends_with(".jsonl") || name.ends_with(".json")) return TextFormat::json_lines;
  if (name.ends_with(".txt") || dictzip) return TextFormat::plain;
  throw UsageError("{}: unknown kind of file; known are .txt, .json and .jsonl, plain or with .gz, .zst or .dz",
                   path);
}

namespace {

/// The first place at or after `offset` where an uncompressed file may be divided: a pure function of both.
std::int64_t division_at(const std::string& path, std::int64_t offset) {
  if (offset <= 0) return 0;
  const bool paragraphs = text_format_of(path) == TextFormat::plain;
  TextSource source(path, offset - 1);
  std::int64_t start = offset - 1;  // of the line read next
  std::string line;
  // The end of a line that began before the offset.
  paragraphs ? next_piece(source, line) : source.next_line(line);
  start += static_cast<std::int64_t>(line.size());
  if (!paragraphs) return start;
  for (bool after_blank = false; next_piece(source, line); start += static_cast<std::int64_t>(line.size())) {
    const bool blank = is_blank(line);
    if ((after_blank && !blank) || start - offset >= longest_document) return start;
    after_blank = blank;
  }
  return start;
}

/// The bytes that a segment stands for.
TextSegment resolved(const TextSegment& segment) {
  if (compression_of(segment.path) != Compression::none) return segment;
  return {segment.path, division_at(segment.path, segment.begin),
          segment.end == end_of_file ? end_of_file : division_at(segment.path, segment.end)};
}

}  // namespace

std::int64_t LineCounter::lines_before(const std::string& path, std::int64_t offset) {
  if (path != path_ || offset < offset_) *this = {};
  path_ = path;
  if (offset == offset_) return lines_;
  TextSource between(path, offset_, offset);
  for (std::string line; between.next_line(line);) ++lines_;
  offset_ = offset;
  return lines_;
}

DocumentReader::DocumentReader(const TextSegment& segment, std::int64_t document_bytes, std::string field,
                               LineCounter counter)
    : segment_(resolved(segment)),
      format_(text_format_of(segment.path)),
      document_bytes_(document_bytes),
      field_(std::move(field)),
      source_(segment_.path, segment_.begin, segment_.end),
      counter_(std::move(counter)) {}

bool DocumentReader::next(std::string& document) {
  while (format_ == TextFormat::plain ? next_paragraphs(document) : next_record(document)) {
    if (!is_blank(document)) return true;
    ++empty_documents_;
  }
  return false;
}

bool DocumentReader::next_paragraphs(std::string& document) {
  const bool cut = document_bytes_ > 0;
  const std::int64_t longest =
      cut ? std::max(document_bytes_, longest_document) : std::numeric_limits<std::int64_t>::max();
  document.clear();
  bool after_blank = false, has_text = false;
  while (line_is_pending_ || next_piece(source_, line_)) {
    line_is_pending_ = false;
    const auto size = static_cast<std::int64_t>(document.size());
    const bool blank = is_blank(line_);
    const bool at_paragraph = after_blank && !blank && has_text && size >= document_bytes_;
    if (cut && (at_paragraph || size >= longest)) {
      line_is_pending_ = true;
      return true;
    }
    after_blank = blank;
    has_text = has_text || !blank;
    document += line_;
  }
  return !document.empty();
}

bool DocumentReader::next_record(std::string& document) {
  while (source_.next_line(line_)) {
    ++lines_;
    if (is_blank(line_)) continue;
    document = text_of(line_);
    return true;
  }
  return false;
}

std::string DocumentReader::text_of(std::string_view line) {
  line = line.substr(0, line.find_last_not_of("\r\n") + 1);  // the parser's columns end with the line
  auto record = nlohmann::json::parse(line, nullptr, false);
  try {
    if (record.is_discarded()) record = nlohmann::json::parse(repaired_json(line));
  } catch (const nlohmann::json::exception& problem) {
    throw BadDocument("{}:{}: not a JSON object: {}", segment_.path, line_number(), reason_of(problem));
  }
  if (!record.is_object()) throw BadDocument("{}:{}: not a JSON object", segment_.path, line_number());
  const auto text = record.find(field_);
  if (text == record.end()) throw BadDocument("{}:{}: no field \"{}\"", segment_.path, line_number(), field_);
  if (!text->is_string())
    throw BadDocument("{}:{}: field \"{}\" is no text", segment_.path, line_number(), field_);
  return std::move(text->get_ref<std::string&>());
}

/// In the whole file, not in the segment.
std::int64_t DocumentReader::line_number() {
  return counter_.lines_before(segment_.path, segment_.begin) + lines_;
}

}  // namespace cola
