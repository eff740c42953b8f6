// JSON as text that is always valid: names and messages come from outside and may be no UTF-8.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace cola {

/// On one line, or indented by so many blanks. What is no UTF-8 is replaced by U+FFFD, where dump() throws.
inline std::string json_text(const nlohmann::ordered_json& json, int indent = -1) {
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace cola
