// Environment variables, looked up by a function that the caller gives, so that what reads them is pure.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace cola {

/// The value of an environment variable, or nothing.
using VariableLookup = std::function<std::optional<std::string>(const std::string& name)>;

/// This process's own environment.
std::optional<std::string> environment_variable(const std::string& name);

/// A variable's value as a number from 0; nothing if it is not set, or empty. Throws UsageError for another.
std::optional<int> read_number(const VariableLookup& lookup, const char* name);

}  // namespace cola
