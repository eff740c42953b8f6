// Checksum: xxh3 of 128 bits over bytes that arrive in pieces, written as 32 hexadecimal digits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct XXH3_state_s;

namespace cola {

class Checksum {
 public:
  Checksum();
  void update(std::span<const std::byte> bytes);
  /// Of all bytes so far: 32 lower-case hexadecimal digits.
  std::string digits() const;

  static constexpr std::size_t digit_count = 32;

 private:
  struct Release {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Release> state_;
};

std::string checksum_of(std::span<const std::byte> bytes);
std::string checksum_of(std::string_view text);

/// Streams a file. Throws FileError naming it.
std::string checksum_of_file(const std::string& path);

}  // namespace cola
