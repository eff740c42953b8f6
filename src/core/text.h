// Numbers as people read them, and files line by line.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace cola {

/// 3 h 12 min, 4 min 10 s, 9 s.
std::string format_duration(double seconds);
/// 1.34 G, 131 k, 12.3 M: three figures and a unit prefix.
std::string format_count(double value);
/// 1.50 GiB, 640 MiB.
std::string format_bytes(double bytes);
inline std::string format_bytes(std::size_t bytes) {
  return format_bytes(static_cast<double>(bytes));
}

/// The lines of a text file that are not empty; none if it cannot be read.
std::vector<std::string> lines_of_file(const std::string& path);

}  // namespace cola
