// Token file: token ids in HDF5 as training reads them: /tokens (uint16 or uint32, one dimension,
// contiguous), /documents (uint64, where each document starts in /tokens) and the attributes below. Readable
// with h5py alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/files/file_descriptor.h"

namespace cola {

/// packed: documents one after another, each followed by eos_id. document: one document a row of
/// sequence_length tokens, cut there, or followed by eos_id and filled with pad_id.
enum class Packing { packed, document };

std::string to_string(Packing packing);
/// Throws UsageError naming the two that exist.
Packing packing_from_name(const std::string& name);

/// The file's attributes, under these names.
struct TokenFileAttributes {
  std::int64_t vocab_size = 0, eos_id = 0, pad_id = 0;
  std::string tokenizer;  // name and hash
  Packing packing = Packing::packed;
  std::int64_t sequence_length = 0;  // tokens a row; in document files only
  bool operator==(const TokenFileAttributes&) const = default;
  /// Whether an id means the same in files with these and with the others.
  bool have_ids_of(const TokenFileAttributes& other) const;
};

/// Writes one token file in memory of a few MiB, however large it gets: tokens go to an unnamed scratch file
/// beside it until their number is known, which gives up its room as it is copied, where the file system can
/// do that. Before publish() no file of the final name appears, and none is left behind if it never comes.
/// Every failure throws Error naming the file and the system's reason.
class TokenFileWriter {
 public:
  TokenFileWriter(const std::string& path, const TokenFileAttributes& attributes);
  ~TokenFileWriter();

  /// Adds a document's ids (no end-of-document id: the packing decides about it). Throws Error for ids not in
  /// [0, vocab_size) and for a document without tokens.
  void append(std::span<const std::int32_t> document);

  const std::string& path() const;
  std::int64_t tokens() const;  // as they stand in the file, padding too
  std::int64_t documents() const;

  /// Writes the whole file under a temporary name and waits until it is on the disk. Throws if nothing was
  /// appended.
  void close();
  /// Gives the closed file its name, durably.
  void publish();

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// What HDF5 is needed for in a token file: its attributes, and where its data lie.
struct TokenFileLayout {
  /// A contiguous dataset: its offset in bytes, its size in elements.
  struct Extent {
    std::int64_t offset = 0, size = 0, element_bytes = 0;
    bool operator==(const Extent&) const = default;
  };
  std::string path;
  TokenFileAttributes attributes;
  Extent tokens, documents;
  FileVersion version;  // that these were read from
  bool operator==(const TokenFileLayout&) const = default;
};

/// Opens the file, and closes it again. Throws FileError naming the file: unreadable, no token file, cut
/// short, or without tokens.
TokenFileLayout read_token_file_layout(const std::string& path);

/// Layouts as text, so that one process may read them for many.
std::string to_text(std::span<const TokenFileLayout> layouts);
std::vector<TokenFileLayout> layouts_from_text(const std::string& text);

/// Reads one token file. The tokens are read past HDF5, straight from where they lie, so that a
/// read never waits for the library's global lock while a checkpoint is written. Reading is const and safe
/// from several threads.
class TokenFile {
 public:
  /// As read_token_file_layout.
  explicit TokenFile(const std::string& path);
  /// Without touching the file, which is opened when it is first read from. That read throws FileError if the
  /// file is no longer the layout's version.
  explicit TokenFile(TokenFileLayout layout);
  ~TokenFile();
  TokenFile(TokenFile&&) noexcept;

  const std::string& path() const;
  const TokenFileAttributes& attributes() const;
  std::int64_t tokens() const;
  std::int64_t documents() const;
  /// 2 or 4.
  std::int64_t token_bytes() const;

  /// Tokens [first, first + bytes.size() / token_bytes()) as they lie in the file. Throws FileError naming
  /// file and offset if an id is not below vocab_size.
  void read_stored(std::int64_t first, std::span<std::byte> bytes) const;
  /// The same as 32-bit ids.
  void read(std::int64_t first, std::span<std::int32_t> ids) const;

  /// Start offsets [first, first + offsets.size()) of the documents.
  void read_documents(std::int64_t first, std::span<std::uint64_t> offsets) const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// Stored ids of `token_bytes` bytes each as 32-bit ids.
void widen_tokens(std::span<const std::byte> stored, std::int64_t token_bytes, std::span<std::int32_t> ids);

}  // namespace cola
