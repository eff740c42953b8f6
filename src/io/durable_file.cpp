#include "io/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/fault_point.h"

namespace cola {

namespace {

constexpr std::size_t block_bytes = std::size_t{4} << 20;

[[noreturn]] void fail(const std::string& path, std::string_view action) {
  throw FileError("{}: cannot {}: {}", path, action, system_reason(errno));
}

// Repeats a system call that a signal interrupted: a run is told to stop by signals.
template <typename Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace

std::string system_reason(int error_number) {
  return std::generic_category().message(error_number);
}

FileDescriptor::FileDescriptor(const std::string& path, int flags) : path_(path) {
  descriptor_ = uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); });
  if (descriptor_ < 0) fail(path_, "open");
}

FileDescriptor FileDescriptor::open_to_read(const std::string& path) {
  return {path, O_RDONLY};
}
FileDescriptor FileDescriptor::create(const std::string& path) {
  return {path, O_WRONLY | O_CREAT | O_TRUNC};
}
FileDescriptor FileDescriptor::open_to_write(const std::string& path) {
  return {path, O_RDWR};
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::int64_t FileDescriptor::bytes() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail(path_, "read the size");
  return status.st_size;
}

void FileDescriptor::write_at(std::int64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        uninterrupted([&] { return ::pwrite(descriptor_, bytes.data(), bytes.size(), offset); });
    if (written < 0) fail(path_, "write");
    offset += written;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void FileDescriptor::read_at(std::int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count =
        uninterrupted([&] { return ::pread(descriptor_, bytes.data(), bytes.size(), offset); });
    if (count < 0) fail(path_, "read");
    if (count == 0) throw FileError("{}: ends at byte {}, more was expected", path_, offset);
    offset += count;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void FileDescriptor::start_flush(std::int64_t offset, std::size_t bytes) noexcept {
  ::sync_file_range(descriptor_, offset, static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE);
}

void FileDescriptor::forget_cached() const noexcept {
  ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
}

void FileDescriptor::for_each_block(
    const std::function<void(std::int64_t, std::span<const std::byte>)>& visit) const {
  std::vector<std::byte> block(std::clamp(static_cast<std::size_t>(bytes()), std::size_t{1}, block_bytes));
  std::int64_t offset = 0;
  while (true) {
    const ssize_t count =
        uninterrupted([&] { return ::pread(descriptor_, block.data(), block.size(), offset); });
    if (count < 0) fail(path_, "read");
    if (count == 0) return;
    visit(offset, std::span(block).first(static_cast<std::size_t>(count)));
    offset += count;
  }
}

void FileDescriptor::synchronize() {
  if (uninterrupted([&] { return ::fsync(descriptor_); }) != 0) fail(path_, "flush to disk");
}

void FileDescriptor::close() {
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) fail(path_, "close");
}

TemporaryFile::TemporaryFile(std::string path)
    : path_(std::move(path)), temporary_path_(path_ + std::string(temporary_suffix)) {}

TemporaryFile::~TemporaryFile() {
  if (!committed_) ::unlink(temporary_path_.c_str());
}

void TemporaryFile::commit() {
  FileDescriptor file = FileDescriptor::open_to_write(temporary_path_);
  file.synchronize();
  file.close();
  fault_point("rename");
  if (std::rename(temporary_path_.c_str(), path_.c_str()) != 0) fail(path_, "rename the finished file to it");
  committed_ = true;
  fault_point("renamed");
  synchronize_folder(parent_folder(path_));
}

void write_file(const std::string& path, std::string_view text) {
  TemporaryFile temporary(path);
  FileDescriptor file = FileDescriptor::create(temporary.temporary_path());
  file.write_at(0, std::as_bytes(std::span(text)));
  file.close();
  temporary.commit();
}

std::string read_file(const std::string& path) {
  std::string text;
  FileDescriptor::open_to_read(path).for_each_block([&](std::int64_t, std::span<const std::byte> block) {
    text.append(reinterpret_cast<const char*>(block.data()), block.size());
  });
  return text;
}

void synchronize_folder(const std::string& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail(folder, "open the folder");
  // Some network file systems know no flush of folders and say EINVAL; their names are durable by themselves.
  const bool failed = uninterrupted([&] { return ::fsync(descriptor); }) != 0 && errno != EINVAL;
  const int reason = errno;
  ::close(descriptor);
  errno = reason;
  if (failed) fail(folder, "flush the folder to disk");
}

std::string parent_folder(const std::string& path) {
  std::filesystem::path whole = std::filesystem::path(path).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  const std::string parent = whole.parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string last_name(const std::string& path) {
  std::filesystem::path whole = std::filesystem::path(path).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  return whole.filename().string();
}

}  // namespace cola
