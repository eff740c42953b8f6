#include "io/tokens/tokenizer.h"

#include <sentencepiece_processor.h>
#include <xxhash.h>

#include <filesystem>

#include "core/error.h"
#include "io/files/durable_file.h"
#include "io/text/utf8.h"

namespace cola {

namespace {

void require_known_id(std::int32_t id, std::int64_t vocab_size) {
  if (id < 0 || id >= vocab_size) throw Error("token id {} is outside the vocabulary of {}", id, vocab_size);
}

constexpr std::string_view bytes_identity = "bytes";
constexpr std::string_view hash_mark = " xxh3:";

// " xxh3:0123456789abcdef" of a model's identity; empty where there is none.
std::string_view hash_of(std::string_view identity) {
  const std::size_t begin = identity.rfind(hash_mark);
  return begin == identity.npos ? std::string_view() : identity.substr(begin);
}

class ByteTokenizer final : public Tokenizer {
 public:
  std::vector<std::int32_t> encode(std::string_view text) const override {
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    return {bytes, bytes + text.size()};
  }
  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (const std::int32_t id : ids) {
      require_known_id(id, vocab_size());
      if (id < 256) text.push_back(static_cast<char>(id));
    }
    return text;
  }
  std::int64_t vocab_size() const override { return 258; }
  std::int64_t eos_id() const override { return 256; }
  std::int64_t pad_id() const override { return 257; }
  std::string identity() const override { return std::string(bytes_identity); }
  std::string model() const override { return {}; }
};

std::string read_model(const std::string& path) {
  try {
    return read_file(path);
  } catch (const FileError& failure) {
    throw UsageError("{} (a tokenizer model)", failure.what());
  }
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(const std::string& path) : model_(read_model(path)) {
    // The library accepts an empty model and then fails at each call.
    if (model_.empty() || !processor_.LoadFromSerializedProto(model_).ok())
      throw UsageError("{}: not a SentencePiece model", path);
    if (processor_.eos_id() < 0) throw UsageError("{}: this model has no end-of-sentence piece", path);
    identity_ = fmt::format("{}{}{:016x}", with_valid_utf8(std::filesystem::path(path).filename().string()),
                            hash_mark, XXH3_64bits(model_.data(), model_.size()));
  }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<int> ids;
    const auto status = processor_.Encode({text.data(), text.size()}, &ids);
    if (!status.ok()) throw Error("{}: {}", identity_, status.ToString());
    return ids;
  }
  std::string decode(std::span<const std::int32_t> ids) const override {
    std::vector<int> pieces;
    for (const std::int32_t id : ids) {
      require_known_id(id, vocab_size());
      if (!processor_.IsControl(id)) pieces.push_back(id);
    }
    std::string text;
    const auto status = processor_.Decode(pieces, &text);
    if (!status.ok()) throw Error("{}: {}", identity_, status.ToString());
    return text;
  }
  std::int64_t vocab_size() const override { return processor_.GetPieceSize(); }
  std::int64_t eos_id() const override { return processor_.eos_id(); }
  std::int64_t pad_id() const override { return processor_.pad_id() >= 0 ? processor_.pad_id() : eos_id(); }
  std::string identity() const override { return identity_; }
  std::string model() const override { return model_; }

 private:
  std::string model_;
  sentencepiece::SentencePieceProcessor processor_;
  std::string identity_;
};

}  // namespace

bool is_tokenizer_identity(std::string_view text) {
  return text == bytes_identity || !hash_of(text).empty();
}

bool is_same_tokenizer(std::string_view identity, std::string_view other) {
  return identity == other || (!hash_of(identity).empty() && hash_of(identity) == hash_of(other));
}

std::unique_ptr<Tokenizer> make_byte_tokenizer() {
  return std::make_unique<ByteTokenizer>();
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  return std::make_unique<SentencePieceTokenizer>(path);
}

}  // namespace cola
