#include "io/tokens/token_file.h"

#include <hdf5.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

#include "core/error.h"
#include "io/files/file_descriptor.h"
#include "io/files/hdf5_file.h"
#include "io/text/utf8.h"
#include "io/tokens/tokenizer.h"

namespace cola {

static_assert(std::endian::native == std::endian::little, "stored ids are read as they lie");

namespace {

using Extent = TokenFileLayout::Extent;

Extent find_dataset(hid_t file, const std::string& path, const char* name) {
  const Hdf5Handle dataset(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose);
  if (!dataset.valid()) throw FileError("{}: no token file: it has no dataset /{}", path, name);
  const Hdf5Handle space(H5Dget_space(dataset.get()), H5Sclose);
  const Hdf5Handle type(H5Dget_type(dataset.get()), H5Tclose);
  const Hdf5Handle creation(H5Dget_create_plist(dataset.get()), H5Pclose);
  if (H5Sget_simple_extent_ndims(space.get()) != 1)
    throw FileError("{}: /{} has not one dimension", path, name);
  hsize_t size = 0;
  H5Sget_simple_extent_dims(space.get(), &size, nullptr);
  if (size == 0) throw FileError("{}: /{} is empty", path, name);
  const haddr_t offset = H5Dget_offset(dataset.get());
  if (H5Pget_layout(creation.get()) != H5D_CONTIGUOUS || offset == HADDR_UNDEF)
    throw FileError("{}: /{} is not stored contiguously", path, name);
  const auto bytes = static_cast<std::int64_t>(H5Tget_size(type.get()));
  if (H5Tget_class(type.get()) != H5T_INTEGER || H5Tget_sign(type.get()) != H5T_SGN_NONE ||
      (bytes > 1 && H5Tget_order(type.get()) != H5T_ORDER_LE))
    throw FileError("{}: /{} does not hold little-endian unsigned integers", path, name);
  return {static_cast<std::int64_t>(offset), static_cast<std::int64_t>(size), bytes};
}

std::int64_t read_number(hid_t file, const std::string& path, const char* name) {
  std::int64_t value = 0;
  const Hdf5Handle attribute(H5Aopen(file, name, H5P_DEFAULT), H5Aclose);
  if (!attribute.valid() || H5Aread(attribute.get(), H5T_NATIVE_INT64, &value) < 0)
    throw FileError("{}: no attribute '{}' that is a number", path, name);
  return value;
}

std::string read_text(hid_t file, const std::string& path, const char* name) {
  const Hdf5Handle attribute(H5Aopen(file, name, H5P_DEFAULT), H5Aclose);
  const Hdf5Handle type(attribute.valid() ? H5Aget_type(attribute.get()) : -1, H5Tclose);
  if (!type.valid() || H5Tget_class(type.get()) != H5T_STRING)
    throw FileError("{}: no attribute '{}' that is a text", path, name);
  if (H5Tis_variable_str(type.get()) > 0) {
    char* text = nullptr;
    if (H5Aread(attribute.get(), type.get(), &text) < 0 || !text)
      throw FileError("{}: cannot read '{}'", path, name);
    std::string value(text);
    H5free_memory(text);
    return value;
  }
  std::string value(H5Tget_size(type.get()), '\0');
  if (H5Aread(attribute.get(), type.get(), value.data()) < 0)
    throw FileError("{}: cannot read '{}'", path, name);
  return value.c_str();
}

TokenFileAttributes read_attributes(hid_t file, const std::string& path) {
  TokenFileAttributes attributes;
  attributes.vocab_size = read_number(file, path, "vocab_size");
  attributes.eos_id = read_number(file, path, "eos_id");
  attributes.pad_id = read_number(file, path, "pad_id");
  attributes.tokenizer = with_valid_utf8(read_text(file, path, "tokenizer"));  // goes into JSON
  const std::string packing = read_text(file, path, "packing");
  if (packing != "packed" && packing != "document")
    throw FileError("{}: unknown packing '{}'", path, packing);
  attributes.packing = packing_from_name(packing);
  if (attributes.packing == Packing::document)
    attributes.sequence_length = read_number(file, path, "sequence_length");
  return attributes;
}

void check(const TokenFileLayout& layout) {
  const auto& [path, attributes, tokens, documents, version] = layout;
  if (tokens.element_bytes != 2 && tokens.element_bytes != 4)
    throw FileError("{}: /tokens holds neither uint16 nor uint32", path);
  if (documents.element_bytes != 8) throw FileError("{}: /documents does not hold uint64", path);
  if (attributes.vocab_size < 1 || attributes.eos_id < 0 || attributes.eos_id >= attributes.vocab_size)
    throw FileError("{}: vocab_size {} and eos_id {} make no sense", path, attributes.vocab_size,
                    attributes.eos_id);
  const std::int64_t row = attributes.sequence_length;
  if (attributes.packing == Packing::document && (row < 2 || tokens.size % row != 0))
    throw FileError("{}: {} tokens are no rows of sequence_length {}", path, tokens.size, row);
  const std::int64_t end = std::max(tokens.offset + tokens.size * tokens.element_bytes,
                                    documents.offset + documents.size * documents.element_bytes);
  if (version.bytes < end) throw FileError("{}: cut short", path);
}

}  // namespace

TokenFileLayout read_token_file_layout(const std::string& path) {
  TokenFileLayout layout;
  layout.path = path;
  layout.version = FileDescriptor::open_to_read(path).version();
  {
    const Hdf5Scope scope;
    const Hdf5File file = Hdf5File::open(path);
    layout.tokens = find_dataset(file.identifier(), path, "tokens");
    layout.documents = find_dataset(file.identifier(), path, "documents");
    layout.attributes = read_attributes(file.identifier(), path);
  }
  check(layout);
  return layout;
}

bool TokenFileAttributes::have_ids_of(const TokenFileAttributes& other) const {
  return is_same_tokenizer(tokenizer, other.tokenizer) && vocab_size == other.vocab_size &&
         eos_id == other.eos_id;
}

std::string to_string(Packing packing) {
  return packing == Packing::packed ? "packed" : "document";
}

Packing packing_from_name(const std::string& name) {
  if (name == "packed") return Packing::packed;
  if (name == "document") return Packing::document;
  throw UsageError("unknown packing '{}': packed or document", name);
}

struct TokenFile::Implementation {
  TokenFileLayout layout;
  mutable std::once_flag opening;
  mutable std::optional<FileDescriptor> descriptor;

  explicit Implementation(TokenFileLayout file) : layout(std::move(file)) {}

  /// Opened by the first reader: a rank opens only the files that it reads from.
  const FileDescriptor& file() const {
    std::call_once(opening, [&] {
      FileDescriptor opened = FileDescriptor::open_to_read(layout.path);
      // Else ranks that opened it earlier would read other samples of the same numbers.
      if (!opened.version().may_be(layout.version))
        throw FileError("{}: was replaced since the run began", layout.path);
      descriptor.emplace(std::move(opened));
    });
    return *descriptor;
  }

  template <typename Id>
  void require_known_ids(std::int64_t first, std::span<const std::byte> stored) const {
    const auto* bytes = stored.data();
    for (std::size_t i = 0; i < stored.size() / sizeof(Id); ++i) {
      Id id;
      std::memcpy(&id, bytes + i * sizeof(Id), sizeof(Id));
      if (std::int64_t{id} >= layout.attributes.vocab_size)
        throw FileError("{}: token {} is {}, beyond the file's vocabulary of {}", layout.path,
                        first + static_cast<std::int64_t>(i), id, layout.attributes.vocab_size);
    }
  }
};

TokenFile::TokenFile(const std::string& path) : TokenFile(read_token_file_layout(path)) {}
TokenFile::TokenFile(TokenFileLayout layout)
    : implementation_(std::make_unique<Implementation>(std::move(layout))) {}
TokenFile::~TokenFile() = default;
TokenFile::TokenFile(TokenFile&&) noexcept = default;

const std::string& TokenFile::path() const {
  return implementation_->layout.path;
}
const TokenFileAttributes& TokenFile::attributes() const {
  return implementation_->layout.attributes;
}
std::int64_t TokenFile::tokens() const {
  return implementation_->layout.tokens.size;
}
std::int64_t TokenFile::documents() const {
  return implementation_->layout.documents.size;
}
std::int64_t TokenFile::token_bytes() const {
  return implementation_->layout.tokens.element_bytes;
}

void TokenFile::read_stored(std::int64_t first, std::span<std::byte> bytes) const {
  const auto& self = *implementation_;
  const std::int64_t count = static_cast<std::int64_t>(bytes.size()) / token_bytes();
  if (first < 0 || count > tokens() - first)
    throw Error("{}: tokens {} to {} asked for, {} there", path(), first, first + count, tokens());
  self.file().read_at(self.layout.tokens.offset + first * token_bytes(), bytes);
  if (token_bytes() == 2) {
    self.require_known_ids<std::uint16_t>(first, bytes);
  } else {
    self.require_known_ids<std::uint32_t>(first, bytes);
  }
}

void TokenFile::read(std::int64_t first, std::span<std::int32_t> ids) const {
  std::vector<std::byte> stored(ids.size() * static_cast<std::size_t>(token_bytes()));
  read_stored(first, stored);
  widen_tokens(stored, token_bytes(), ids);
}

void TokenFile::read_documents(std::int64_t first, std::span<std::uint64_t> offsets) const {
  const auto& self = *implementation_;
  if (first < 0 || static_cast<std::int64_t>(offsets.size()) > documents() - first)
    throw Error("{}: documents {} to {} asked for, {} there", path(), first,
                first + static_cast<std::int64_t>(offsets.size()), documents());
  self.file().read_at(self.layout.documents.offset + first * 8, std::as_writable_bytes(offsets));
}

void widen_tokens(std::span<const std::byte> stored, std::int64_t token_bytes, std::span<std::int32_t> ids) {
  if (token_bytes == 4) {
    std::memcpy(ids.data(), stored.data(), ids.size_bytes());
    return;
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::uint16_t id;
    std::memcpy(&id, stored.data() + 2 * i, sizeof id);
    ids[i] = id;
  }
}

}  // namespace cola
