// Environment variables that a test makes up.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "dist/placement/environment_variables.h"

namespace cola {

using Variables = std::map<std::string, std::string>;

/// Knows these variables and no others.
inline VariableLookup made_up(const Variables& variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

}  // namespace cola
