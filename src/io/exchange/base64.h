// Bytes as text of 64 characters (RFC 4648), three bytes in four of them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cola {

inline std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned group = 0;
    for (std::size_t j = i; j < i + 3; ++j)
      group = group << 8 | (j < bytes.size() ? static_cast<unsigned char>(bytes[j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j)
      text.push_back(i + j <= bytes.size() ? digits[group >> (18 - 6 * j) & 63] : '=');
  }
  return text;
}

}  // namespace cola
