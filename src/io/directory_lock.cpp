#include "io/directory_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/log.h"

namespace cola {

DirectoryLock::DirectoryLock(const std::string& directory, std::chrono::seconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  const std::string path = directory + "/lock";
  for (bool waits = false; !acquire(path); waits = true) {
    if (std::chrono::steady_clock::now() >= end)
      throw UsageError("{}: another job is working in it", directory);
    if (!waits)
      information("{} is locked, perhaps by the job before this one: waiting for it, {} s at most", path,
                  patience.count());
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

// False if another process holds the lock.
bool DirectoryLock::acquire(const std::string& path) {
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) throw FileError("{}: cannot be made: {}", path, std::strerror(errno));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(file_, F_SETLK, &lock) == 0) return true;
  const int reason = errno;
  ::close(std::exchange(file_, -1));
  if (reason == EACCES || reason == EAGAIN) return false;
  if (reason != ENOSYS && reason != ENOLCK && reason != EOPNOTSUPP)
    throw FileError("{}: cannot be locked: {}", path, std::strerror(reason));
  warning("{}: this file system has no locks ({}): see to it that only one job works in its folder", path,
          std::strerror(reason));
  return true;
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

DirectoryLock::~DirectoryLock() {
  if (file_ >= 0) ::close(file_);
}

}  // namespace cola
