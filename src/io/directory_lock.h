// DirectoryLock: at most one job works in a run directory.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "io/file_descriptor.h"

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

 private:
  bool acquire(const std::string& path);

  std::optional<FileDescriptor> file_;
};

}  // namespace cola
