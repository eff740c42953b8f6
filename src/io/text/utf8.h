// UTF-8 (RFC 3629): which bytes are it, and what stands for those that are not.
#pragma once

#include <string>
#include <string_view>

namespace cola {

/// U+FFFD, which stands for what cannot be read.
inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

bool is_utf8(std::string_view text);

/// The text with the replacement character for each byte that belongs to none.
std::string with_valid_utf8(std::string_view text);

/// Whether a character may begin with this byte: it does not continue one.
inline bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0u) != 0x80u;
}

}  // namespace cola
