#include "io/files/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <span>
#include <utility>

#include "core/error.h"
#include "core/fault_point.h"
#include "io/files/checksum.h"

namespace cola {

namespace {

[[noreturn]] void fail(const std::string& path, std::string_view action) {
  throw FileError("{}: cannot {}: {}", path, action, system_reason(errno));
}

// Some network file systems, and some in user space, know no flush of folders, and say so in one of these
// ways; their names are durable by themselves, or not at all.
bool knows_no_folder_flush(int error_number) {
  return error_number == EINVAL || error_number == ENOSYS || error_number == EOPNOTSUPP ||
         error_number == ENOTTY;
}

}  // namespace

TemporaryFile::TemporaryFile(std::string path)
    : path_(std::move(path)), temporary_path_(path_ + std::string(temporary_suffix)) {}

TemporaryFile::~TemporaryFile() {
  if (!committed_) ::unlink(temporary_path_.c_str());
}

void TemporaryFile::read_back(FileDescriptor& file, const std::string& checksum) const {
  file.synchronize();
  file.forget_cached();
  if (checksum_of_file(temporary_path_) != checksum)
    throw FileError("{}: reads back other bytes than were written", temporary_path_);
}

void TemporaryFile::commit(FileDescriptor file) {
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
  temporary.commit(std::move(file));
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
  int reason = EINTR;
  while (reason == EINTR) reason = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  errno = reason;
  if (reason != 0 && !knows_no_folder_flush(reason)) fail(folder, "flush the folder to disk");
}

void make_folder(const std::string& path) {
  std::error_code problem;
  std::filesystem::create_directories(path, problem);
  if (problem) throw FileError("{}: cannot make the folder: {}", path, problem.message());
}

void make_durable_folder(const std::string& path) {
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown)) return;
  const std::string parent = parent_folder(path);
  if (parent != path) make_durable_folder(parent);
  make_folder(path);
  synchronize_folder(parent);
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
