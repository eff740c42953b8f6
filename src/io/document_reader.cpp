#include "io/document_reader.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"

namespace cola {

namespace {

/// Text without blank lines is cut where it exceeds this, so that memory stays bounded.
constexpr std::int64_t longest_document = std::int64_t{1} << 20;

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

/// Length of the UTF-8 sequence at the start of `text`, 0 if it is none (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF)
    return follows(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF) && follows(2) ? 3 : 0;
  if (first >= 0xF0 && first <= 0xF4)
    return follows(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF) && follows(2) && follows(3)
               ? 4
               : 0;
  return 0;
}

std::string with_valid_utf8(std::string_view text) {
  std::string repaired;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    repaired += length > 0 ? text.substr(0, length) : std::string_view("\xEF\xBF\xBD");
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return repaired;
}

}  // namespace

TextFormat text_format_of(const std::string& path) {
  std::string name = path;
  const bool dictzip = name.ends_with(".dz");
  if (compression_of(path) != Compression::none) name.erase(name.rfind('.'));
  if (name.ends_with(".jsonl") || name.ends_with(".json")) return TextFormat::json_lines;
  if (name.ends_with(".txt") || dictzip) return TextFormat::plain;
  throw UsageError("{}: unknown kind of file; known are .txt and .jsonl, plain or with .gz, .zst or .dz",
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
  source.next_line(line);  // the end of a line that began before the offset
  start += static_cast<std::int64_t>(line.size());
  if (!paragraphs) return start;
  for (bool after_blank = false; source.next_line(line); start += static_cast<std::int64_t>(line.size())) {
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

DocumentReader::DocumentReader(const TextSegment& segment, std::int64_t document_bytes)
    : segment_(resolved(segment)),
      format_(text_format_of(segment.path)),
      document_bytes_(document_bytes),
      source_(segment_.path, segment_.begin, segment_.end) {}

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
  while (line_is_pending_ || source_.next_line(line_)) {
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

std::string DocumentReader::text_of(const std::string& line) const {
  auto record = nlohmann::json::parse(line, nullptr, false);
  if (record.is_discarded()) record = nlohmann::json::parse(with_valid_utf8(line), nullptr, false);
  if (record.is_discarded() || !record.is_object())
    throw FileError("{}:{}: not a JSON object", segment_.path, line_number());
  const auto text = record.find("text");
  if (text == record.end()) throw FileError("{}:{}: no field \"text\"", segment_.path, line_number());
  if (!text->is_string()) throw FileError("{}:{}: field \"text\" is no text", segment_.path, line_number());
  return std::move(text->get_ref<std::string&>());
}

/// In the whole file, not in the segment.
std::int64_t DocumentReader::line_number() const {
  if (segment_.begin == 0) return lines_;
  TextSource before(segment_.path, 0, segment_.begin);
  std::int64_t lines = lines_;
  for (std::string line; before.next_line(line);) ++lines;
  return lines;
}

}  // namespace cola
