#include "io/files/directory_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <thread>

#include "core/error.h"
#include "core/host.h"
#include "core/log.h"
#include "io/files/durable_file.h"

namespace cola {

namespace {

namespace fs = std::filesystem;

// Who holds the lock writes its name into the file, for whoever is refused. It may be missing: the disk may
// have been full.
void sign(FileDescriptor& file) {
  const std::string name = fmt::format("process {} on {}\n", ::getpid(), host_name());
  try {
    file.write_at(0, std::as_bytes(std::span(name)));
  } catch (const FileError&) {
  }
}

// " (process 1234 on node7)", or nothing where that is not known.
std::string signature(const FileDescriptor& file) {
  std::array<char, 256> line{};
  std::size_t bytes = 0;
  try {
    bytes = file.read_some(0, std::as_writable_bytes(std::span(line)));
  } catch (const FileError&) {
  }
  const std::string_view text(line.data(), bytes);
  const std::size_t end = text.find('\n');
  return end == std::string_view::npos ? "" : fmt::format(" ({})", text.substr(0, end));
}

bool is_in_its_folder(const FileDescriptor& file) {
  struct stat state {};
  return ::fstat(file.number(), &state) != 0 || state.st_nlink > 0;
}

// The folder and those above it that are not there, the deepest first.
std::vector<std::string> missing_folders(std::string path) {
  std::vector<std::string> missing;
  for (std::error_code ignored; !fs::exists(path, ignored); path = parent_folder(path))
    missing.push_back(path);
  return missing;
}

}  // namespace

DirectoryLock::DirectoryLock(const std::string& directory, std::chrono::seconds patience)
    : directory_(directory) {
  const auto end = std::chrono::steady_clock::now() + patience;
  const std::string path = directory + "/lock";
  for (bool waits = false; !acquire(path); waits = true) {
    if (std::chrono::steady_clock::now() >= end)
      throw UsageError("{}: another job is working in it{}", directory, signature(*file_));
    if (!waits)
      information("{} is locked, perhaps by the job before this one: waiting for it, {} s at most", path,
                  patience.count());
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  sign(*file_);
}

void DirectoryLock::withdraw() noexcept {
  if (made_.empty()) return;
  std::error_code problem;
  for (fs::directory_iterator entry(directory_, problem), end; !problem && entry != end;
       entry.increment(problem))
    if (entry->path().filename() != "lock") return;
  if (problem) return;
  fs::remove(directory_ + "/lock", problem);
  file_.reset();  // NFS keeps the name of a removed file that is open
  for (const std::string& folder : made_) fs::remove(folder, problem);
}

// False if another process holds the lock.
bool DirectoryLock::acquire(const std::string& path) {
  if (made_.empty()) made_ = missing_folders(directory_);
  make_durable_folder(directory_);  // who held the lock may have withdrawn, folder and all
  file_.emplace(FileDescriptor::open_or_create(path));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(file_->number(), F_SETLK, &lock) == 0) return is_in_its_folder(*file_) || acquire(path);
  const int reason = errno;
  if (reason == EACCES || reason == EAGAIN) return false;
  if (reason != ENOSYS && reason != ENOLCK && reason != EOPNOTSUPP)
    throw FileError("{}: cannot be locked: {}", path, system_reason(reason));
  warning("{}: this file system has no locks ({}): see to it that only one job works in its folder", path,
          system_reason(reason));
  return true;
}

}  // namespace cola
