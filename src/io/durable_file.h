// Durable files: written under a temporary name, flushed to the disk, then renamed, so that a file is there
// whole or not at all, whatever happens to the process or the machine. Errors carry the file and the system's
// reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace cola {

/// A file that is open. Every member throws FileError naming the path.
class FileDescriptor {
 public:
  static FileDescriptor open_to_read(const std::string& path);
  /// Creates the file or empties it.
  static FileDescriptor create(const std::string& path);
  /// Keeps what the file holds; can be read as well.
  static FileDescriptor open_to_write(const std::string& path);

  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor();

  std::int64_t bytes() const;
  void write_at(std::int64_t offset, std::span<const std::byte> bytes);
  /// Fills `bytes`; a file that ends before that is an error.
  void read_at(std::int64_t offset, std::span<std::byte> bytes) const;
  /// Asks the system to begin with the writing of these bytes to the disk, so that synchronize() finds little
  /// left.
  void start_flush(std::int64_t offset, std::size_t bytes) noexcept;
  /// Asks the system to forget its copy of the file in memory, so that reading comes from the disk. Counts
  /// only after synchronize().
  void forget_cached() const noexcept;
  /// Reads from the file's begin to its end in large blocks, handing over each with its offset.
  void for_each_block(const std::function<void(std::int64_t, std::span<const std::byte>)>& visit) const;
  /// Waits until the bytes are on the disk.
  void synchronize();
  /// Closes now, with the error that a network file system may report only then.
  void close();

 private:
  FileDescriptor(const std::string& path, int flags);

  std::string path_;
  int descriptor_ = -1;
};

/// What temporary files end in.
inline constexpr std::string_view temporary_suffix = ".tmp";

/// A file on its way to `path`: written at `temporary_path()`, and removed again unless it is committed.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& temporary_path() const { return temporary_path_; }
  /// Flushes the file, gives it its name and flushes the folder. Throws FileError.
  void commit();

 private:
  std::string path_, temporary_path_;
  bool committed_ = false;
};

/// Writes a small file whole and durably. Throws FileError.
void write_file(const std::string& path, std::string_view text);
/// Throws FileError.
std::string read_file(const std::string& path);

/// Waits until the names in `folder` are on the disk. Throws FileError.
void synchronize_folder(const std::string& folder);

/// The folder a path lies in, "." for a bare name; a trailing slash does not count.
std::string parent_folder(const std::string& path);
/// The last part of a path, a trailing slash not counting.
std::string last_name(const std::string& path);

/// The system's words for an error number, as a C++ string.
std::string system_reason(int error_number);

}  // namespace cola
