// TextSource: the lines of a text file, decompressed as they are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace cola {

enum class Compression { none, gzip, zstd };

/// By the name's end: .gz and .dz are gzip, .zst is zstd.
Compression compression_of(const std::string& path);

constexpr std::int64_t end_of_file = -1;

class TextSource {
 public:
  /// Bytes [begin, end) of the file, which only an uncompressed file may be asked for in part. Throws
  /// FileError.
  explicit TextSource(const std::string& path, std::int64_t begin = 0, std::int64_t end = end_of_file);
  ~TextSource();

  /// The next line with its newline, if it has one. False at the end. One of more than `longest` bytes comes
  /// in pieces, each cut behind the first white space after so many or, where none comes within as many
  /// again, before the next character. Throws FileError naming the file if it cannot be read, is damaged or
  /// cut short.
  bool next_line(std::string& line, std::size_t longest = std::string::npos);

  /// How many bytes of the file itself (compressed, if it is) have been read.
  std::int64_t consumed() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace cola
