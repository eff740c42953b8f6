// The strict conversions of ConfigurationNode: what counts as text, a boolean, a number.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdint>

#include "core/configuration_node.h"

namespace cola {

namespace {

bool is_digit(char character) {
  return character >= '0' && character <= '9';
}

// Leading zeros are left out: whether 010 is eight or ten depends on the version of YAML.
bool is_whole_number(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  if (text.empty() || (text.front() == '0' && text.size() > 1)) return false;
  for (const char character : text)
    if (!is_digit(character)) return false;
  return true;
}

// YAML's .inf and .nan, and what C and Python print for them.
bool names_no_finite_number(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text.starts_with('.')) text.remove_prefix(1);
  for (const char* word : {"inf", "Inf", "INF", "nan", "NaN", "NAN", "infinity", "Infinity"})
    if (text == word) return true;
  return false;
}

std::string describe(ConfigurationNode::Kind kind, bool quoted, std::string_view scalar) {
  switch (kind) {
    case ConfigurationNode::Kind::nothing:
      return "nothing";
    case ConfigurationNode::Kind::list:
      return "a list";
    case ConfigurationNode::Kind::mapping:
      return "a mapping";
    case ConfigurationNode::Kind::scalar:
      break;
  }
  return fmt::format("{}'{}'", quoted ? "the text " : "", printable(scalar));
}

}  // namespace

void ConfigurationNode::fail_expecting(std::string_view expected) const {
  fail(fmt::format("expected {}, got {}", expected, describe(kind_, quoted_, scalar_)));
}

const std::string& ConfigurationNode::plain_scalar(std::string_view expected) const {
  if (kind_ != Kind::scalar || quoted_) fail_expecting(expected);
  return scalar_;
}

std::string ConfigurationNode::text() const {
  if (kind_ != Kind::scalar) fail_expecting("text");
  if (scalar_.empty()) fail("must not be empty");
  return scalar_;
}

bool ConfigurationNode::boolean() const {
  const std::string& word = plain_scalar("true or false");
  if (word != "true" && word != "false") fail_expecting("true or false");
  return word == "true";
}

double ConfigurationNode::number() const {
  const std::string& digits = plain_scalar("a number");
  if (names_no_finite_number(digits)) fail_expecting("a finite number");
  double value = 0;
  const char* const last = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), last, value);
  if (error == std::errc::result_out_of_range) fail_expecting("a number that a double can hold");
  if (error != std::errc{} || end != last || !std::isfinite(value)) fail_expecting("a number");
  return value;
}

template <typename Integer>
Integer ConfigurationNode::whole_number(std::pair<Integer, Integer> range) const {
  const std::string& digits = plain_scalar("a whole number");
  if (!is_whole_number(digits)) fail_expecting("a whole number");
  Integer value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{})
    fail(fmt::format("must be between {} and {}, got {}", range.first, range.second, printable(digits)));
  return value;
}
template int ConfigurationNode::whole_number<int>(std::pair<int, int>) const;
template std::int64_t ConfigurationNode::whole_number<std::int64_t>(
    std::pair<std::int64_t, std::int64_t>) const;
template std::uint64_t ConfigurationNode::whole_number<std::uint64_t>(
    std::pair<std::uint64_t, std::uint64_t>) const;

const std::vector<ConfigurationNode>& ConfigurationNode::items(std::string_view example) const {
  if (kind_ != Kind::list) fail_expecting(fmt::format("a list such as {}", example));
  return children_;
}

std::string printable(std::string_view text) {
  constexpr std::size_t longest = 120;
  if (text.size() > longest)
    return printable(text.substr(0, longest / 2)) + "..." + printable(text.substr(text.size() - longest / 2));
  std::string result;
  for (const char character : text) {
    const auto code = static_cast<unsigned char>(character);
    if (code < 0x20 || code == 0x7f)
      result += character == '\n' ? "\\n" : character == '\t' ? "\\t" : fmt::format("\\x{:02x}", code);
    else
      result += character;
  }
  return result;
}

}  // namespace cola
