#include "train/configuration/configuration_changes.h"

#include <fmt/format.h>

namespace cola {

std::vector<ConfigurationChange> configuration_changes(const RunConfiguration& before,
                                                       const RunConfiguration& now) {
  const std::vector<Setting> old_settings = settings_of(before), settings = settings_of(now);
  std::vector<ConfigurationChange> changes;
  for (std::size_t i = 0; i < settings.size(); ++i)  // the same keys in the same order
    if (settings[i] != old_settings[i])
      changes.push_back({settings[i].key, old_settings[i].value, settings[i].value});
  return changes;
}

std::string describe(const std::vector<ConfigurationChange>& changes) {
  std::string text;
  for (const ConfigurationChange& change : changes)
    text += fmt::format("{}{} {} -> {}", text.empty() ? "" : ", ", change.key, change.before, change.now);
  return text;
}

}  // namespace cola
