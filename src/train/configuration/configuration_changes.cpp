#include "train/configuration/configuration_changes.h"

#include <fmt/format.h>

#include <sstream>

namespace cola {

// Both texts have the same keys in the same order, one a line, under lines that name their section.
std::vector<ConfigurationChange> configuration_changes(const RunConfiguration& before,
                                                       const RunConfiguration& now) {
  std::istringstream old_lines(to_yaml(before)), new_lines(to_yaml(now));
  std::vector<ConfigurationChange> changes;
  std::string section;
  for (std::string old_line, line; std::getline(old_lines, old_line) && std::getline(new_lines, line);) {
    const std::size_t begin = line.find_first_not_of(' '), colon = line.find(':');
    if (begin == 0) section = line.substr(0, colon);
    if (line == old_line) continue;
    const std::size_t value = colon + 2;
    changes.push_back(
        {section + "." + line.substr(begin, colon - begin), old_line.substr(value), line.substr(value)});
  }
  return changes;
}

std::string describe(const std::vector<ConfigurationChange>& changes) {
  std::string text;
  for (const ConfigurationChange& change : changes)
    text += fmt::format("{}{} {} -> {}", text.empty() ? "" : ", ", change.key, change.before, change.now);
  return text;
}

}  // namespace cola
