#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "core/error.h"
#include "io/files/durable_file.h"
#include "io/files/hdf5_file.h"
#include "io/tokens/token_file.h"

namespace cola {

namespace {

constexpr std::size_t buffer_bytes = std::size_t{1} << 20;

/// Bytes of a length not yet known, in a file without a name: it vanishes with the process, however that
/// ends.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& path)
      : writing_(FileDescriptor::create(path)), reading_(FileDescriptor::open_to_read(path)) {
    ::unlink(path.c_str());
    buffer_.reserve(buffer_bytes);
  }

  void append(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    if (buffer_.size() + size > buffer_bytes) flush();
    buffer_.insert(buffer_.end(), bytes, bytes + size);
  }
  /// What was copied is given up at once, or else the disk would have to hold everything twice.
  void move_to(FileDescriptor& target, std::int64_t begin) {
    flush();
    reading_.for_each_block([&](std::int64_t offset, std::span<const std::byte> block) {
      target.write_at(begin + offset, block);
      writing_.release(offset, block.size());
    });
  }

 private:
  void flush() {
    writing_.write_at(written_, buffer_);
    written_ += static_cast<std::int64_t>(buffer_.size());
    buffer_.clear();
  }

  FileDescriptor writing_, reading_;
  std::vector<std::byte> buffer_;
  std::int64_t written_ = 0;
};

/// A full disk is no fault of the input, which FileError would mean to whoever feeds the writer.
template <typename Action>
auto writing(Action action) {
  try {
    return action();
  } catch (const FileError& failure) {
    throw Error("{}", failure.what());
  }
}

/// Where the data of a token file belong.
struct Places {
  std::int64_t tokens = 0, documents = 0;
};

Places lay_out(const std::string& path, const TokenFileAttributes& attributes, std::int64_t tokens,
               std::int64_t documents, Hdf5Element token) {
  Hdf5File file = Hdf5File::create(path);
  file.write_attribute("/", "vocab_size", attributes.vocab_size);
  file.write_attribute("/", "eos_id", attributes.eos_id);
  file.write_attribute("/", "pad_id", attributes.pad_id);
  file.write_variable_attribute("/", "tokenizer", attributes.tokenizer);
  file.write_variable_attribute("/", "packing", to_string(attributes.packing));
  if (attributes.packing == Packing::document)
    file.write_attribute("/", "sequence_length", attributes.sequence_length);
  Places places;
  places.documents = file.reserve("documents", {documents}, Hdf5Element::uint64);
  places.tokens = file.reserve("tokens", {tokens}, token);
  file.close();
  return places;
}

}  // namespace

struct TokenFileWriter::Implementation {
  std::string path;
  TokenFileAttributes attributes;
  std::int64_t token_bytes;
  std::int64_t tokens = 0, documents = 0;
  TemporaryFile temporary;
  std::optional<FileDescriptor> file;  // the temporary one, open from close() to publish()
  ScratchFile token_scratch, document_scratch;

  Implementation(const std::string& final_path, const TokenFileAttributes& wanted)
      : path(final_path),
        attributes(wanted),
        token_bytes(wanted.vocab_size <= 65536 ? 2 : 4),
        temporary(final_path),
        token_scratch(final_path + ".tokens.tmp"),
        document_scratch(final_path + ".documents.tmp") {}

  void put(std::int64_t id) {
    if (id < 0 || id >= attributes.vocab_size)
      throw Error("{}: token id {} is outside the vocabulary of {}", path, id, attributes.vocab_size);
    const auto stored = static_cast<std::uint32_t>(id);  // little-endian: the low bytes come first
    token_scratch.append(&stored, static_cast<std::size_t>(token_bytes));
    ++tokens;
  }

  /// A document as its packing wants it.
  void put_document(std::span<const std::int32_t> document) {
    document_scratch.append(&tokens, sizeof tokens);
    ++documents;
    if (attributes.packing == Packing::packed) {
      for (const std::int32_t id : document) put(id);
      put(attributes.eos_id);
      return;
    }
    const auto row = static_cast<std::size_t>(attributes.sequence_length);
    for (const std::int32_t id : document.first(std::min(row, document.size()))) put(id);
    for (std::size_t i = document.size(); i < row; ++i)
      put(i == document.size() ? attributes.eos_id : attributes.pad_id);
  }

  void write() {
    const Places places = lay_out(temporary.temporary_path(), attributes, tokens, documents,
                                  token_bytes == 2 ? Hdf5Element::uint16 : Hdf5Element::uint32);
    file.emplace(FileDescriptor::open_to_write(temporary.temporary_path()));
    token_scratch.move_to(*file, places.tokens);
    document_scratch.move_to(*file, places.documents);
    file->synchronize();
  }
};

TokenFileWriter::TokenFileWriter(const std::string& path, const TokenFileAttributes& attributes) {
  if (attributes.packing == Packing::document && attributes.sequence_length < 2)
    throw UsageError("{}: document packing needs a sequence length of at least 2", path);
  implementation_ = writing([&] { return std::make_unique<Implementation>(path, attributes); });
}
TokenFileWriter::~TokenFileWriter() = default;

void TokenFileWriter::append(std::span<const std::int32_t> document) {
  if (document.empty()) throw Error("{}: a document without tokens", path());
  writing([&] { implementation_->put_document(document); });
}

const std::string& TokenFileWriter::path() const {
  return implementation_->path;
}
std::int64_t TokenFileWriter::tokens() const {
  return implementation_->tokens;
}
std::int64_t TokenFileWriter::documents() const {
  return implementation_->documents;
}

void TokenFileWriter::close() {
  auto& self = *implementation_;
  if (self.documents == 0) throw Error("{}: no documents to write", self.path);
  writing([&] {
    self.write();
    const TokenFile written(self.temporary.temporary_path());
    if (written.tokens() != self.tokens || written.documents() != self.documents)
      throw Error("{}: reads back otherwise than it was written", self.path);
  });
}

void TokenFileWriter::publish() {
  auto& self = *implementation_;
  if (!self.file) throw Error("{}: published before it was closed", self.path);
  writing([&] { self.temporary.commit(std::move(*self.file)); });
}

}  // namespace cola
