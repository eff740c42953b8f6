// What lies under a name that someone gave: a file, a folder, or nothing.
#pragma once

#include <cstdint>
#include <string>

namespace cola {

enum class FileKind { missing, file, folder, other };

/// All of these throw UsageError with the name and the system's reason where it does not tell: a folder
/// without permission, a loop of links, too long a name.
FileKind kind_of_file(const std::string& path);
/// Throws UsageError also for what is no file, or none that holds bytes.
void require_file(const std::string& path);
/// Bytes.
std::int64_t size_of_file(const std::string& path);
/// The same for all names of a file.
std::string canonical_path(const std::string& path);

}  // namespace cola
