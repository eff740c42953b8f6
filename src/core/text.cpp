#include "core/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>

namespace cola {

namespace {

// Three figures of a value between 1 and 1000.
std::string three_figures(double value) {
  return fmt::format("{:.{}f}", value, value < 10 ? 2 : value < 100 ? 1 : 0);
}

// Divides the value by `step` until it is below 1000, as it is written, or there is no larger prefix: how
// often.
int scale_down(double& value, double step) {
  constexpr int largest = 5;
  int prefix = 0;
  for (; value >= 999.5 && prefix < largest; ++prefix) value /= step;
  return prefix;
}

}  // namespace

std::string format_duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(std::max(0.0, seconds)));
  if (whole >= 3600) return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
  if (whole >= 60) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} s", whole);
}

std::string format_count(double value) {
  constexpr const char* prefixes[] = {"", " k", " M", " G", " T", " P"};
  const int prefix = scale_down(value, 1000);
  return three_figures(value) + prefixes[prefix];
}

std::string format_bytes(double bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  const int unit = scale_down(bytes, 1024);
  return three_figures(bytes) + " " + units[unit];
}

std::vector<std::string> lines_of_file(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (!line.empty()) lines.push_back(line);
  return lines;
}

}  // namespace cola
