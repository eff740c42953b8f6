// DirectoryLock: at most one job works in a run directory.
#pragma once

#include <string>

namespace cola {

class DirectoryLock {
 public:
  /// No lock.
  DirectoryLock() = default;
  /// Makes `directory` if need be and locks the file "lock" in it until destroyed or until the process ends, however it
  /// ends (fcntl, which works over NFS). Throws UsageError if another process holds it, FileError if it cannot be made.
  explicit DirectoryLock(const std::string& directory);
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&& other) noexcept;
  ~DirectoryLock();

 private:
  int file_ = -1;
};

}  // namespace cola
