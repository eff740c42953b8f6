#include "io/text/json_repair.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <optional>
#include <system_error>

#include "io/text/utf8.h"

namespace cola {

namespace {

/// The code unit of UTF-16 that an escape like \u00e9 at the start of `text` stands for; none if it is no
/// such escape.
std::optional<unsigned> escaped_unit(std::string_view text) {
  constexpr std::size_t length = 6;
  if (text.size() < length || !text.starts_with("\\u")) return std::nullopt;
  unsigned unit = 0;
  const auto [end, problem] = std::from_chars(text.data() + 2, text.data() + length, unit, 16);
  if (problem != std::errc() || end != text.data() + length) return std::nullopt;
  return unit;
}

bool is_high_surrogate(std::optional<unsigned> unit) {
  return unit && *unit >= 0xD800 && *unit <= 0xDBFF;
}
bool is_low_surrogate(std::optional<unsigned> unit) {
  return unit && *unit >= 0xDC00 && *unit <= 0xDFFF;
}

/// A string of JSON with U+FFFD for each surrogate that lacks its other half, as Python writes what it could
/// not decode.
std::string with_paired_surrogates(std::string_view json) {
  constexpr std::size_t escape = 6;
  std::string repaired;
  while (!json.empty()) {
    std::size_t taken = json[0] == '\\' ? 2 : 1;  // an escaped backslash begins no escape
    const std::optional<unsigned> unit = escaped_unit(json);
    const bool paired = is_high_surrogate(unit) && is_low_surrogate(escaped_unit(json.substr(escape)));
    if (paired) taken = 2 * escape;
    if (!paired && (is_high_surrogate(unit) || is_low_surrogate(unit))) {
      repaired += "\\ufffd";
      taken = escape;
    } else {
      repaired += json.substr(0, taken);
    }
    json.remove_prefix(std::min(taken, json.size()));
  }
  return repaired;
}

/// A JSON text cut into what stands in strings, quotes included, and what stands between them.
template <typename Visit>
void for_each_string_and_gap(std::string_view json, Visit visit) {
  for (bool in_string = false; !json.empty(); in_string = !in_string) {
    std::size_t end = in_string ? 1 : 0;
    while (end < json.size() && json[end] != '"') end += in_string && json[end] == '\\' ? 2 : 1;
    end = std::min(end + (in_string ? 1 : 0), json.size());
    visit(json.substr(0, end), in_string);
    json.remove_prefix(end);
  }
}

/// What stands between strings, with numbers in the place of those that JSON has no words for (Python's json
/// writes them nevertheless), and without the digits that take others beyond a double's range. The values do
/// not matter: only text is wanted.
std::string with_plain_numbers(std::string_view gap) {
  constexpr std::size_t most_digits = 100, most_exponent_digits = 2;
  std::string plain;
  std::size_t digits = 0;
  bool in_exponent = false;
  while (!gap.empty()) {
    std::size_t taken = 1;
    if (std::isdigit(static_cast<unsigned char>(gap[0]))) {
      if (++digits <= (in_exponent ? most_exponent_digits : most_digits)) plain += gap[0];
    } else {
      digits = 0;
      in_exponent = gap[0] == 'e' || gap[0] == 'E' || (in_exponent && (gap[0] == '+' || gap[0] == '-'));
      const auto words = {"NaN", "-Infinity", "Infinity"};
      const auto word =
          std::find_if(words.begin(), words.end(), [&](const char* known) { return gap.starts_with(known); });
      if (word != words.end()) taken = std::strlen(*word);
      plain += word != words.end() ? "null" : gap.substr(0, 1);
    }
    gap.remove_prefix(taken);
  }
  return plain;
}

}  // namespace

std::string repaired_json(std::string_view text) {
  std::string json;
  const std::string valid = with_valid_utf8(text);
  for_each_string_and_gap(valid, [&](std::string_view part, bool is_string) {
    json += is_string ? with_paired_surrogates(part) : with_plain_numbers(part);
  });
  return json;
}

}  // namespace cola
