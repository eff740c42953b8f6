// DirectoryLock: at most one job works in a run directory.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "io/files/file_descriptor.h"

namespace cola {

class DirectoryLock {
 public:
  /// No lock.
  DirectoryLock() = default;
  /// Makes `directory` if need be and locks the file "lock" in it until destroyed or until the process ends,
  /// however it ends (fcntl, which works over NFS). Throws UsageError, naming it where it is known, if
  /// another process still holds it after `patience`, FileError if it cannot be made. Where the file system
  /// has no locks, a warning says so.
  explicit DirectoryLock(const std::string& directory,
                         std::chrono::seconds patience = std::chrono::seconds(0));

  /// Removes the folders that this lock has made, with itself, if nothing else came into them: for work that
  /// could not begin.
  void withdraw() noexcept;

 private:
  bool acquire(const std::string& path);

  std::string directory_;
  std::vector<std::string> made_;  // folders, the deepest first
  std::optional<FileDescriptor> file_;
};

}  // namespace cola
