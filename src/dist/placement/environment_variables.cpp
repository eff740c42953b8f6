#include "dist/placement/environment_variables.h"

#include <charconv>
#include <cstdlib>

#include "core/error.h"

namespace cola {

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

// Empty is unset: so scripts write it.
std::optional<int> read_number(const VariableLookup& lookup, const char* name) {
  const std::optional<std::string> text = lookup(name);
  if (!text || text->empty()) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number < 0)
    throw UsageError("environment variable {} is '{}', not a number", name, *text);
  return number;
}

}  // namespace cola
