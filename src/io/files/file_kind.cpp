#include "io/files/file_kind.h"

#include <filesystem>
#include <system_error>

#include "core/error.h"

namespace cola {

namespace {

namespace fs = std::filesystem;

void require_success(const std::string& path, const std::error_code& problem) {
  if (problem) throw UsageError("{}: cannot be looked at: {}", path, problem.message());
}

}  // namespace

FileKind kind_of_file(const std::string& path) {
  std::error_code problem;
  const fs::file_type type = fs::status(path, problem).type();
  if (type == fs::file_type::not_found) return FileKind::missing;
  require_success(path, problem);
  if (type == fs::file_type::regular) return FileKind::file;
  return type == fs::file_type::directory ? FileKind::folder : FileKind::other;
}

void require_file(const std::string& path) {
  const FileKind kind = kind_of_file(path);
  if (kind == FileKind::missing) throw UsageError("{}: no such file", path);
  if (kind == FileKind::folder) throw UsageError("{}: is a folder; name a file in it", path);
  if (kind == FileKind::other) throw UsageError("{}: is a pipe or a device, not a file", path);
}

std::int64_t size_of_file(const std::string& path) {
  std::error_code problem;
  const std::uintmax_t bytes = fs::file_size(path, problem);
  require_success(path, problem);
  return static_cast<std::int64_t>(bytes);
}

std::string canonical_path(const std::string& path) {
  std::error_code problem;
  const fs::path canonical = fs::weakly_canonical(path, problem);
  require_success(path, problem);
  return canonical.string();
}

}  // namespace cola
