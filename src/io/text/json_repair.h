// JSON as programs write it that do not keep to the letter of the standard, made readable for those that do.
#pragma once

#include <string>
#include <string_view>

namespace cola {

/// The same structure and strings, with U+FFFD for stray bytes and for halves of surrogate pairs, null for
/// NaN and Infinity, and other values for numbers that no double holds. What was no JSON otherwise is none
/// now.
std::string repaired_json(std::string_view text);

}  // namespace cola
