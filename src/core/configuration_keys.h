// The keys a configuration may have, and how to write values so that they are read back as they were.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/configuration_node.h"

namespace cola {

/// A word that stands for a known key elsewhere, in whatever section.
struct OtherName {
  std::string_view word, key;
};

/// Throws UsageError for the first section or key of `root` that is not among `known`, naming the nearest
/// known one, and all of its section where that is a mere guess. Known keys are written "section.key".
void require_known_keys(const ConfigurationNode& root, const std::vector<std::string>& known,
                        std::span<const OtherName> other_names = {});

/// The known "section.key" that was most likely meant: the one with this other name, the same key in another
/// section, one that contains the word, or the fewest edits away; of this section where nothing is near.
std::string nearest_key(std::string_view path, const std::vector<std::string>& known,
                        std::span<const OtherName> other_names = {});

/// Least number of characters inserted, deleted or replaced to turn one word into the other (Levenshtein).
int edit_distance(std::string_view from, std::string_view to);

/// Text as a YAML scalar, in double quotes where it could be taken for something else.
std::string yaml_text(std::string_view text);
/// The shortest digits that are read back as exactly this number.
std::string yaml_number(double value);

}  // namespace cola
