// FileDescriptor: a file that is open, read and written with plain system calls. Errors carry the file and
// the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace cola {

/// By which a file that was replaced is known.
struct FileVersion {
  std::int64_t bytes = 0;
  std::int64_t modified = 0;  // nanoseconds since 1970
  std::uint64_t inode = 0;
  bool operator==(const FileVersion&) const = default;
  /// Whether these can be the same file. Who touches it, so that a scratch folder is not cleared of it,
  /// changes its time; some file systems number their files anew.
  bool may_be(const FileVersion& other) const {
    return bytes == other.bytes && (modified == other.modified || inode == other.inode);
  }
};

/// A file that is open. Every member throws FileError naming the path.
class FileDescriptor {
 public:
  static FileDescriptor open_to_read(const std::string& path);
  /// Creates the file or empties it.
  static FileDescriptor create(const std::string& path);
  /// Keeps what the file holds; can be read as well.
  static FileDescriptor open_to_write(const std::string& path);
  /// The same, but creates the file where it is missing.
  static FileDescriptor open_or_create(const std::string& path);

  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  /// From here on bytes that lie on pages, in memory and in the file, travel between them without a copy in
  /// the system's cache, where the file system can do that (O_DIRECT). The others, and all where it cannot,
  /// take the usual way.
  void bypass_cache() { bypasses_cache_ = true; }

  std::int64_t bytes() const { return version().bytes; }
  FileVersion version() const;
  void write_at(std::int64_t offset, std::span<const std::byte> bytes);
  /// Fills `bytes` from `offset` on as far as the file reaches; returns how many there were.
  std::size_t read_some(std::int64_t offset, std::span<std::byte> bytes) const;
  /// Fills `bytes`; a file that ends before that is an error.
  void read_at(std::int64_t offset, std::span<std::byte> bytes) const;
  /// Asks the system to begin with the writing of these bytes to the disk, so that synchronize() finds little
  /// left.
  void start_flush(std::int64_t offset, std::size_t bytes) noexcept;
  /// Gives the room of these bytes on the disk back, where the file system can do that: they are zeros then.
  void release(std::int64_t offset, std::size_t bytes) noexcept;
  /// Asks the system to forget its copy of the file in memory, so that reading comes from the disk. Counts
  /// only after synchronize().
  void forget_cached() const noexcept;
  /// Reads from the file's begin to its end in large blocks, handing over each with its offset.
  void for_each_block(const std::function<void(std::int64_t, std::span<const std::byte>)>& visit) const;
  /// Waits until the bytes are on the disk.
  void synchronize();
  /// Closes now, with the error that a network file system may report only then.
  void close();

  /// The system's number for it.
  int number() const { return descriptor_; }

 private:
  FileDescriptor(const std::string& path, int flags);
  template <typename Byte, typename SystemCall>
  std::int64_t transfer(std::int64_t offset, std::span<Byte> bytes, SystemCall system_call) const;

  std::string path_;
  int descriptor_ = -1;
  bool bypasses_cache_ = false;
};

/// The system's words for an error number, as a C++ string.
std::string system_reason(int error_number);

}  // namespace cola
