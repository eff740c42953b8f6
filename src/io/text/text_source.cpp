#include "io/text/text_source.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <boost/iostreams/concepts.hpp>
#include <boost/iostreams/filter/zstd.hpp>
#include <boost/iostreams/filtering_streambuf.hpp>
#include <boost/iostreams/read.hpp>
#include <cstring>
#include <ios>
#include <new>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "io/files/durable_file.h"
#include "io/files/file_descriptor.h"
#include "io/text/utf8.h"

namespace cola {

namespace {

namespace streams = boost::iostreams;

constexpr std::streamsize block_bytes = 256 * 1024;

/// The file, or a part of it, as it lies on disk.
class RawFile {
 public:
  RawFile(const std::string& path, std::int64_t begin, std::int64_t end)
      : file_(FileDescriptor::open_to_read(path)), begin_(begin), next_(begin), end_(end) {}

  /// Up to `size` bytes; 0 at the end.
  std::streamsize read(char* bytes, std::streamsize size) {
    if (end_ != end_of_file) size = std::min<std::streamsize>(size, end_ - next_);
    const auto wanted = std::as_writable_bytes(std::span(bytes, static_cast<std::size_t>(size)));
    const auto count = static_cast<std::streamsize>(file_.read_some(next_, wanted));
    next_ += count;
    return count;
  }
  /// All of `bytes` at `offset`, if the file reaches so far.
  bool peek(std::int64_t offset, std::span<unsigned char> bytes) const {
    return file_.read_some(offset, std::as_writable_bytes(bytes)) == bytes.size();
  }
  std::int64_t size() const { return file_.bytes(); }
  std::int64_t consumed() const { return next_ - begin_; }

 private:
  FileDescriptor file_;
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

/// The text of a gzip file (RFC 1952) of one member or more.
class GzipText {
 public:
  explicit GzipText(std::shared_ptr<RawFile> file) : file_(std::move(file)) {
    constexpr int gzip_only = 16;
    if (::inflateInit2(&stream_, MAX_WBITS + gzip_only) != Z_OK) throw std::bad_alloc();
  }
  ~GzipText() { ::inflateEnd(&stream_); }
  GzipText(const GzipText&) = delete;
  GzipText& operator=(const GzipText&) = delete;

  /// Up to `size` bytes; 0 at the end. Throws std::ios_base::failure for what is damaged or cut short.
  std::streamsize read(char* text, std::streamsize size) {
    stream_.next_out = reinterpret_cast<Bytef*>(text);
    stream_.avail_out = static_cast<uInt>(size);
    while (stream_.avail_out > 0 && !is_at_end()) inflate_some();
    return size - static_cast<std::streamsize>(stream_.avail_out);
  }

 private:
  bool has_input() {
    if (stream_.avail_in > 0) return true;
    stream_.next_in = reinterpret_cast<Bytef*>(block_.data());
    stream_.avail_in = static_cast<uInt>(file_->read(block_.data(), block_bytes));
    return stream_.avail_in > 0;
  }
  /// Zeros behind the last member do not count: some writers fill up their last block with them.
  bool is_at_end() {
    if (is_inside_ || is_first_) return false;
    while (has_input() && *stream_.next_in == 0) {
      has_padding_ = true;
      ++stream_.next_in;
      --stream_.avail_in;
    }
    if (has_input() && has_padding_) throw std::ios_base::failure("no gzip member behind zeros");
    return !has_input();
  }
  void inflate_some() {
    if (!has_input()) throw std::ios_base::failure("a gzip member without its end");
    is_inside_ = true;
    const int code = ::inflate(&stream_, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END) throw std::ios_base::failure("no gzip");
    if (code != Z_STREAM_END) return;
    is_inside_ = is_first_ = false;
    ::inflateReset(&stream_);
  }

  std::shared_ptr<RawFile> file_;
  z_stream stream_{};
  std::vector<char> block_ = std::vector<char>(static_cast<std::size_t>(block_bytes));
  bool is_first_ = true, is_inside_ = false;  // a member
  bool has_padding_ = false;
};

std::uint64_t little_endian(std::span<const unsigned char> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i > 0; --i) value = (value << 8) | bytes[i - 1];
  return value;
}

/// The header of a zstd frame (RFC 8878, 3.1.1.1).
struct ZstdHeader {
  std::int64_t bytes = 0;
  std::uint64_t window = 0;  // how far back the frame refers to its text, in bytes
  bool has_checksum = false;
};

/// Of the frame that begins at `offset`; none if the file ends before.
std::optional<ZstdHeader> read_zstd_header(const RawFile& file, std::int64_t offset) {
  std::array<unsigned char, 18> bytes{};  // the longest there is, with the magic number in front
  if (!file.peek(offset, std::span(bytes).first(5))) return std::nullopt;
  const unsigned descriptor = bytes[4];
  const bool single_segment = descriptor & 0x20u;
  constexpr std::array<std::size_t, 4> dictionary_bytes{0, 1, 2, 4}, content_size_bytes{0, 2, 4, 8};
  const std::size_t size_begin = 5 + (single_segment ? 0 : 1) + dictionary_bytes[descriptor & 3u];
  const std::size_t size_bytes =
      single_segment && descriptor < 0x40u ? 1 : content_size_bytes[descriptor >> 6u];
  const auto header = std::span(bytes).first(size_begin + size_bytes);
  if (!file.peek(offset, header)) return std::nullopt;
  ZstdHeader read{static_cast<std::int64_t>(header.size()), 0, (descriptor & 0x04u) != 0};
  if (single_segment) {  // the window is the content
    read.window = little_endian(header.last(size_bytes)) + (size_bytes == 2 ? 256 : 0);
  } else {
    const std::uint64_t base = std::uint64_t{1} << (10 + (bytes[5] >> 3u));
    read.window = base + base / 8 * (bytes[5] & 7u);
  }
  return read;
}

/// The library takes no larger window, unless told to in a way that Boost does not offer.
void require_zstd_window(std::uint64_t window, const std::string& path) {
  constexpr std::uint64_t mebibyte = 1 << 20, largest = 128 * mebibyte;
  if (window > largest)
    throw FileError(
        "{}: was compressed with a window of {} MiB, more than the {} that can be read; write it anew: "
        "zstd -dc --long=31 {} | zstd -o NEW.zst",
        path, (window + mebibyte - 1) / mebibyte, largest / mebibyte, last_name(path));
}

/// Where the zstd frame that starts at `offset` ends, from its headers alone (RFC 8878, 3.1); -1 if the file
/// ends in it or it is no frame. Throws FileError if its window is too large.
std::int64_t zstd_frame_end(const RawFile& file, std::int64_t offset, const std::string& path) {
  std::array<unsigned char, 4> number{}, size{};
  if (!file.peek(offset, number)) return -1;
  const std::uint64_t magic = little_endian(number);
  if ((magic & 0xFFFFFFF0u) == 0x184D2A50u)  // skippable frame
    return file.peek(offset + 4, size) ? offset + 8 + static_cast<std::int64_t>(little_endian(size)) : -1;
  if (magic != 0xFD2FB528u) return -1;
  const std::optional<ZstdHeader> frame = read_zstd_header(file, offset);
  if (!frame) return -1;
  require_zstd_window(frame->window, path);
  offset += frame->bytes;
  for (bool last = false; !last;) {
    std::array<unsigned char, 3> block{};
    if (!file.peek(offset, block)) return -1;
    const std::uint64_t header = little_endian(block);
    last = header & 1u;
    const bool run_length = ((header >> 1u) & 3u) == 1;
    offset += 3 + (run_length ? 1 : static_cast<std::int64_t>(header >> 3u));
  }
  return offset + (frame->has_checksum ? 4 : 0);
}

/// The decompressor takes a file cut short for one that ends; so its frames are counted through beforehand.
void require_complete_zstd(const RawFile& file, const std::string& path) {
  const std::int64_t size = file.size();
  std::int64_t offset = 0;
  do offset = zstd_frame_end(file, offset, path);
  while (offset >= 0 && offset < size);
  if (offset != size) throw FileError("{}: damaged or cut short (zstd)", path);
}

bool is_white_space(char byte) {
  return std::string_view(" \t\r\n\v\f").find(byte) != std::string_view::npos;
}

/// How much of `next` belongs to a line of which `read` bytes are read already; npos if it goes on after all
/// of it. See TextSource::next_line.
std::size_t end_of_line(std::string_view next, std::size_t read, std::size_t longest) {
  constexpr std::size_t longest_character = 4;
  const std::size_t newline = next.find('\n');
  const std::size_t end = newline == std::string_view::npos ? next.size() : newline + 1;
  for (std::size_t i = longest - std::min(read, longest); i < end; ++i) {
    if (is_white_space(next[i])) return i + 1;
    const std::size_t beyond = read + i < 2 * longest ? 0 : read + i - 2 * longest + 1;
    if (beyond > 0 && (begins_character(next[i]) || beyond >= longest_character)) return i;
  }
  return newline == std::string_view::npos ? newline : end;
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
  std::optional<GzipText> gzip;

  Implementation(const std::string& name, std::int64_t begin, std::int64_t end)
      : path(name), compression(compression_of(name)), file(std::make_shared<RawFile>(name, begin, end)) {
    if (compression == Compression::none) return;
    if (begin != 0 || end != end_of_file) throw Error("{}: a compressed file cannot be read in part", path);
    if (compression == Compression::zstd) {
      require_complete_zstd(*file, path);
      decompressed.push(streams::zstd_decompressor());
      decompressed.push(RawDevice(file), block_bytes);
    } else {
      gzip.emplace(file);
    }
  }

  std::streamsize read() {
    if (compression == Compression::none) return file->read(block.data(), block_bytes);
    return gzip ? gzip->read(block.data(), block_bytes)
                : streams::read(decompressed, block.data(), block_bytes);
  }

  bool next_block() {
    std::streamsize count = 0;
    try {
      count = read();
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

bool TextSource::next_line(std::string& line, std::size_t longest) {
  auto& self = *implementation_;
  line.clear();
  while (!self.left.empty() || self.next_block()) {
    const std::string_view next(self.left.data(), self.left.size());
    const std::size_t end = end_of_line(next, line.size(), longest);
    line += next.substr(0, end);
    self.left = self.left.subspan(std::min(end, next.size()));
    if (end != std::string_view::npos) return true;
  }
  return !line.empty();
}

std::int64_t TextSource::consumed() const {
  return implementation_->file->consumed();
}

}  // namespace cola
