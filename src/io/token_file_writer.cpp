#include <fcntl.h>
#include <hdf5.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "io/durable_file.h"
#include "io/hdf5_file.h"
#include "io/token_file.h"

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
  void copy_to(FileDescriptor& target, std::int64_t begin) {
    flush();
    reading_.for_each_block([&](std::int64_t offset, std::span<const std::byte> block) {
      target.write_at(begin + offset, block);
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

/// The structure of a token file under construction.
class Structure {
 public:
  explicit Structure(const std::string& path) : path_(path) {
    const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    H5Pset_file_locking(access.get(), false, true);  // refused by some parallel file systems
    H5Pset_alignment(access.get(), 4096, 4096);
    file_ = {H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose};
    require(file_.valid());
  }

  void write(const char* name, std::int64_t value) {
    write(name, Hdf5Handle(H5Tcopy(H5T_STD_I64LE), H5Tclose), &value);
  }
  void write(const char* name, const std::string& value) {
    const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);  // of variable length: h5py then gives a str
    H5Tset_size(type.get(), H5T_VARIABLE);
    H5Tset_cset(type.get(), H5T_CSET_UTF8);
    const char* text = value.c_str();
    write(name, type, &text);
  }
  /// Makes room for a contiguous dataset; returns where in the file it lies.
  std::int64_t reserve(const char* name, hid_t type, std::int64_t size) {
    const auto extent = static_cast<hsize_t>(size);
    const Hdf5Handle space(H5Screate_simple(1, &extent, nullptr), H5Sclose);
    const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_layout(creation.get(), H5D_CONTIGUOUS);
    H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(creation.get(), false);  // the same tokens make the same file
    const Hdf5Handle dataset(
        H5Dcreate2(file_.get(), name, type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT), H5Dclose);
    require(dataset.valid());
    const haddr_t offset = H5Dget_offset(dataset.get());
    require(offset != HADDR_UNDEF);
    return static_cast<std::int64_t>(offset);
  }
  void close() {
    require(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL) >= 0);
    require(file_.close());
  }

 private:
  void require(bool done) const {
    if (!done) throw Error("{}: cannot write: {}", path_, scope_.reason());
  }
  void write(const char* name, const Hdf5Handle& type, const void* value) {
    const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    const Hdf5Handle attribute(
        H5Acreate2(file_.get(), name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    require(attribute.valid() && H5Awrite(attribute.get(), type.get(), value) >= 0);
  }

  Hdf5Scope scope_;
  std::string path_;
  Hdf5Handle file_;
};

}  // namespace

struct TokenFileWriter::Implementation {
  std::string path;
  TokenFileAttributes attributes;
  std::int64_t token_bytes;
  std::int64_t tokens = 0, documents = 0;
  bool closed = false;
  TemporaryFile temporary;
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
    Structure structure(temporary.temporary_path());
    structure.write("vocab_size", attributes.vocab_size);
    structure.write("eos_id", attributes.eos_id);
    structure.write("pad_id", attributes.pad_id);
    structure.write("tokenizer", attributes.tokenizer);
    structure.write("packing", to_string(attributes.packing));
    if (attributes.packing == Packing::document)
      structure.write("sequence_length", attributes.sequence_length);
    const std::int64_t documents_at = structure.reserve("documents", H5T_STD_U64LE, documents);
    const std::int64_t tokens_at =
        structure.reserve("tokens", token_bytes == 2 ? H5T_STD_U16LE : H5T_STD_U32LE, tokens);
    structure.close();
    FileDescriptor file = FileDescriptor::open_to_write(temporary.temporary_path());
    token_scratch.copy_to(file, tokens_at);
    document_scratch.copy_to(file, documents_at);
    file.synchronize();
    file.close();
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
  self.closed = true;
}

void TokenFileWriter::publish() {
  auto& self = *implementation_;
  if (!self.closed) throw Error("{}: published before it was closed", self.path);
  writing([&] { self.temporary.commit(); });
}

}  // namespace cola
