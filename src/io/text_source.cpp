#include "io/text_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/iostreams/concepts.hpp>
#include <boost/iostreams/filter/gzip.hpp>
#include <boost/iostreams/filter/zstd.hpp>
#include <boost/iostreams/filtering_streambuf.hpp>
#include <boost/iostreams/read.hpp>
#include <cerrno>
#include <cstring>
#include <ios>
#include <span>
#include <vector>

#include "core/error.h"

namespace cola {

namespace {

namespace streams = boost::iostreams;

constexpr std::streamsize block_bytes = 256 * 1024;

/// The file as it lies on disk.
class RawFile {
 public:
  RawFile(const std::string& path, std::int64_t begin, std::int64_t end)
      : path_(path),
        descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)),
        begin_(begin),
        next_(begin),
        end_(end) {
    if (descriptor_ < 0) throw FileError("{}: cannot open: {}", path, std::strerror(errno));
  }
  ~RawFile() { ::close(descriptor_); }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  /// Up to `size` bytes; 0 at the end.
  std::streamsize read(char* bytes, std::streamsize size) {
    if (end_ != end_of_file) size = std::min<std::streamsize>(size, end_ - next_);
    ssize_t count = 0;
    do count = ::pread(descriptor_, bytes, static_cast<std::size_t>(size), next_);
    while (count < 0 && errno == EINTR);
    if (count < 0) throw FileError("{}: cannot read: {}", path_, std::strerror(errno));
    next_ += count;
    return count;
  }
  /// All of `bytes` at `offset`, if the file reaches so far.
  bool peek(std::int64_t offset, std::span<unsigned char> bytes) const {
    return ::pread(descriptor_, bytes.data(), bytes.size(), offset) == static_cast<ssize_t>(bytes.size());
  }
  std::int64_t size() const { return ::lseek(descriptor_, 0, SEEK_END); }
  std::int64_t consumed() const { return next_ - begin_; }

 private:
  std::string path_;
  int descriptor_;
  std::int64_t begin_, next_, end_;
};

/// The same as Boost.Iostreams wants it; the stream keeps a copy.
class RawDevice : public streams::source {
 public:
  explicit RawDevice(std::shared_ptr<RawFile> file) : file_(std::move(file)) {}
  std::streamsize read(char* bytes, std::streamsize size) {
    const std::streamsize count = file_->read(bytes, size);
    return count == 0 && size > 0 ? -1 : count;
  }

 private:
  std::shared_ptr<RawFile> file_;
};

std::uint64_t little_endian(std::span<const unsigned char> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i > 0; --i) value = (value << 8) | bytes[i - 1];
  return value;
}

/// Where the zstd frame that starts at `offset` ends, from its headers alone (RFC 8878, 3.1); -1 if the file
/// ends in it or it is no frame.
std::int64_t zstd_frame_end(const RawFile& file, std::int64_t offset) {
  std::array<unsigned char, 5> head{};
  std::array<unsigned char, 4> size{};
  if (!file.peek(offset, std::span(head).first(4))) return -1;
  const std::uint64_t magic = little_endian(std::span(head).first(4));
  if ((magic & 0xFFFFFFF0u) == 0x184D2A50u)  // skippable frame
    return file.peek(offset + 4, size) ? offset + 8 + static_cast<std::int64_t>(little_endian(size)) : -1;
  if (magic != 0xFD2FB528u || !file.peek(offset, head)) return -1;
  const unsigned descriptor = head[4];
  const bool single_segment = descriptor & 0x20u, has_checksum = descriptor & 0x04u;
  constexpr std::array<int, 4> dictionary_bytes{0, 1, 2, 4}, content_size_bytes{0, 2, 4, 8};
  offset += 5 + (single_segment ? 0 : 1) + dictionary_bytes[descriptor & 3u] +
            (single_segment && descriptor < 0x40u ? 1 : content_size_bytes[descriptor >> 6u]);
  for (bool last = false; !last;) {
    std::array<unsigned char, 3> block{};
    if (!file.peek(offset, block)) return -1;
    const std::uint64_t header = little_endian(block);
    last = header & 1u;
    const bool run_length = ((header >> 1u) & 3u) == 1;
    offset += 3 + (run_length ? 1 : static_cast<std::int64_t>(header >> 3u));
  }
  return offset + (has_checksum ? 4 : 0);
}

/// The decompressor takes a file cut short for one that ends; so its frames are counted through beforehand.
void require_complete_zstd(const RawFile& file, const std::string& path) {
  const std::int64_t size = file.size();
  std::int64_t offset = 0;
  do offset = zstd_frame_end(file, offset);
  while (offset >= 0 && offset < size);
  if (offset != size) throw FileError("{}: damaged or cut short (zstd)", path);
}

}  // namespace

Compression compression_of(const std::string& path) {
  if (path.ends_with(".gz") || path.ends_with(".dz")) return Compression::gzip;
  return path.ends_with(".zst") ? Compression::zstd : Compression::none;
}

struct TextSource::Implementation {
  std::string path;
  Compression compression;
  std::shared_ptr<RawFile> file;
  streams::filtering_streambuf<streams::input> decompressed;
  std::vector<char> block = std::vector<char>(static_cast<std::size_t>(block_bytes));
  std::span<const char> left;  // of the block

  Implementation(const std::string& name, std::int64_t begin, std::int64_t end)
      : path(name), compression(compression_of(name)), file(std::make_shared<RawFile>(name, begin, end)) {
    if (compression == Compression::none) return;
    if (begin != 0 || end != end_of_file) throw Error("{}: a compressed file cannot be read in part", path);
    if (compression == Compression::zstd) {
      require_complete_zstd(*file, path);
      decompressed.push(streams::zstd_decompressor());
    } else {
      decompressed.push(streams::gzip_decompressor());
    }
    decompressed.push(RawDevice(file), block_bytes);
  }

  bool next_block() {
    std::streamsize count = 0;
    try {
      count = compression == Compression::none ? file->read(block.data(), block_bytes)
                                               : streams::read(decompressed, block.data(), block_bytes);
    } catch (const std::ios_base::failure&) {
      throw FileError("{}: damaged or cut short ({})", path,
                      compression == Compression::gzip ? "gzip" : "zstd");
    }
    left = {block.data(), static_cast<std::size_t>(std::max<std::streamsize>(count, 0))};
    return !left.empty();
  }
};

TextSource::TextSource(const std::string& path, std::int64_t begin, std::int64_t end)
    : implementation_(std::make_unique<Implementation>(path, begin, end)) {}
TextSource::~TextSource() = default;

bool TextSource::next_line(std::string& line) {
  auto& self = *implementation_;
  line.clear();
  while (!self.left.empty() || self.next_block()) {
    const auto* newline = static_cast<const char*>(std::memchr(self.left.data(), '\n', self.left.size()));
    const std::size_t count =
        newline ? static_cast<std::size_t>(newline - self.left.data()) + 1 : self.left.size();
    line.append(self.left.data(), count);
    self.left = self.left.subspan(count);
    if (newline) return true;
  }
  return !line.empty();
}

std::int64_t TextSource::consumed() const {
  return implementation_->file->consumed();
}

}  // namespace cola
