// JSON from and to text: names and messages come from outside and may be no UTF-8.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace cola {

/// On one line, or indented by so many blanks. What is no UTF-8 is replaced by U+FFFD, where dump() throws.
inline std::string json_text(const nlohmann::ordered_json& json, int indent = -1) {
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

/// The JSON of a file of another's making; discarded (is_discarded) where it is none, or nested deeper than
/// any is that has a use here: to copy or write it would take a stack as deep.
inline nlohmann::json parse_foreign_json(const std::string& text) {
  constexpr int deepest = 100;
  bool too_deep = false;
  const auto keep = [&too_deep](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > deepest) too_deep = true;
    return depth <= deepest;
  };
  nlohmann::json json = nlohmann::json::parse(text, keep, false);
  return too_deep ? nlohmann::json(nlohmann::json::value_t::discarded) : json;
}

}  // namespace cola
