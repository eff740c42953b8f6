// What an exported HDF5 file holds: one dataset a tensor, and beside them what import needs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/manifest.h"

namespace cola::exported {

/// The checkpoint's description (no shards), a manifest's JSON.
inline constexpr const char* manifest_name = "manifest";
/// A line a tensor, in the manifest's order: the checksum of its values, two spaces, its name.
inline constexpr const char* checksums_name = "checksums";

inline std::string checksum_line(const std::string& digits, const std::string& tensor) {
  return digits + "  " + tensor + "\n";
}

/// The shape of a tensor's dataset, without padding.
inline std::vector<std::int64_t> logical_shape(const Parameter& parameter) {
  if (parameter.is_vector) return {parameter.columns};
  return {parameter.rows, parameter.columns};
}

}  // namespace cola::exported
