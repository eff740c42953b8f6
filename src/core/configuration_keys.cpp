#include "core/configuration_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <optional>

namespace cola {

namespace {

std::string_view section_of(std::string_view path) {
  return path.substr(0, path.find('.'));
}
std::string_view key_of(std::string_view path) {
  const std::size_t dot = path.find('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

// "batch" was meant for "global_batch" although eight letters are missing.
int word_distance(std::string_view from, std::string_view to) {
  const int distance = edit_distance(from, to);
  const bool inside = from.size() >= 3 && to.find(from) != std::string_view::npos;
  return inside ? std::min(distance, 2) : distance;
}

std::string nearest_section(std::string_view name, const std::vector<std::string>& known) {
  return std::string(
      section_of(*std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
        return word_distance(name, section_of(a)) < word_distance(name, section_of(b));
      })));
}

// Where most letters of the word had to change, the nearest key is a guess.
bool is_guess(std::string_view path, std::string_view nearest) {
  const std::string_view word = key_of(path);
  return 2 * word_distance(word, key_of(nearest)) > static_cast<int>(word.size());
}

std::string keys_to_choose_from(std::string_view path, const std::vector<std::string>& known) {
  std::vector<std::string_view> keys;
  for (const std::string& key : known)
    if (section_of(key) == section_of(path)) keys.push_back(key_of(key));
  return fmt::format(" ({} has: {})", section_of(path), fmt::join(keys, ", "));
}

std::optional<std::string> find_other_name(std::string_view word, std::span<const OtherName> other_names) {
  std::string underscored(word);
  std::replace(underscored.begin(), underscored.end(), '-', '_');
  for (const OtherName& name : other_names)
    if (name.word == underscored) return std::string(name.key);
  return std::nullopt;
}

[[noreturn]] void fail_unknown_key(const ConfigurationNode& member, const std::string& path,
                                   const std::vector<std::string>& known,
                                   std::span<const OtherName> other_names) {
  const std::string nearest = nearest_key(path, known, other_names);
  const bool is_known = find_other_name(key_of(path), other_names) || !is_guess(path, nearest);
  member.fail(fmt::format("unknown key; the nearest known key is '{}'{}", nearest,
                          is_known ? "" : keys_to_choose_from(path, known)));
}

[[noreturn]] void fail_unknown_section(const ConfigurationNode& section,
                                       const std::vector<std::string>& known) {
  for (const std::string& key : known)
    if (key == section.name() || key_of(key) == section.name())
      section.fail(fmt::format("unknown section; the nearest known key is '{}'", key));
  section.fail(fmt::format("unknown section; the nearest known section is '{}'",
                           nearest_section(section.name(), known)));
}

bool is_plain_text(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto inner = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') ||
           std::string_view("/_.-+*@%=").find(c) != std::string_view::npos;
  };
  if (text.empty() || !(letter(text.front()) || text.front() == '/' || text.front() == '_')) return false;
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
    if (lower == word) return false;
  return std::all_of(text.begin(), text.end(), inner);
}

}  // namespace

void require_known_keys(const ConfigurationNode& root, const std::vector<std::string>& known,
                        std::span<const OtherName> other_names) {
  for (const ConfigurationNode& section : root.children()) {
    const auto in_section = [&](const std::string& key) { return section_of(key) == section.name(); };
    if (std::none_of(known.begin(), known.end(), in_section)) fail_unknown_section(section, known);
    if (section.kind() != ConfigurationNode::Kind::mapping) section.fail("expected a mapping of keys");
    for (const ConfigurationNode& member : section.children()) {
      const std::string path = section.name() + "." + member.name();
      if (std::find(known.begin(), known.end(), path) == known.end())
        fail_unknown_key(member, path, known, other_names);
    }
  }
}

std::string nearest_key(std::string_view path, const std::vector<std::string>& known,
                        std::span<const OtherName> other_names) {
  if (const auto meant = find_other_name(key_of(path), other_names)) return *meant;
  const auto nearest = [&](int elsewhere) {
    const auto cost = [&](std::string_view candidate) {
      return word_distance(key_of(path), key_of(candidate)) +
             (section_of(candidate) == section_of(path) ? 0 : elsewhere);
    };
    return *std::min_element(known.begin(), known.end(),
                             [&](const auto& a, const auto& b) { return cost(a) < cost(b); });
  };
  constexpr int no_more_than_a_letter = 1, more_than_any_word = 1000;
  const std::string found = nearest(no_more_than_a_letter);
  return is_guess(path, found) ? nearest(more_than_any_word) : found;
}

int edit_distance(std::string_view from, std::string_view to) {
  std::vector<int> row(to.size() +
                       1);  // distances from the first i letters of `from` to each beginning of `to`
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= from.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const int replaced = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::string yaml_text(std::string_view text) {
  if (is_plain_text(text)) return std::string(text);
  std::string quoted = "\"";
  for (const char character : text) {
    const auto code = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\')
      quoted += {'\\', character};
    else if (code < 0x20 || code == 0x7f)
      quoted += fmt::format("\\x{:02x}", code);
    else
      quoted += character;
  }
  return quoted + "\"";
}

std::string yaml_number(double value) {
  std::string digits = fmt::format("{}", value);
  const std::size_t exponent = digits.find('e');  // YAML 1.1 takes 1e-06, without a point, for text
  if (exponent != std::string::npos && digits.find('.') == std::string::npos) digits.insert(exponent, ".0");
  return digits;
}

}  // namespace cola
