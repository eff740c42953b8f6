// Durable files: written under a temporary name, flushed to the disk, then renamed, so that a file is there
// whole or not at all, whatever happens to the process or the machine. Errors carry the file and the system's
// reason.
#pragma once

#include <string>
#include <string_view>

#include "io/files/file_descriptor.h"

namespace cola {

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
  /// Reads what `file`, open as the temporary one, holds on the disk, and throws FileError unless it has this
  /// checksum.
  void read_back(FileDescriptor& file, const std::string& checksum) const;
  /// Flushes the file, gives it its name and flushes the folder. `file` is what it was written through, and
  /// surely hears of all errors in that. Throws FileError.
  void commit(FileDescriptor file);

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

/// Makes a folder, and those above it, where they are missing. Throws FileError.
void make_folder(const std::string& path);
/// The same, and waits until the names of those it made are on the disk.
void make_durable_folder(const std::string& path);

/// The folder a path lies in, "." for a bare name; a trailing slash does not count.
std::string parent_folder(const std::string& path);
/// The last part of a path, a trailing slash not counting.
std::string last_name(const std::string& path);

}  // namespace cola
