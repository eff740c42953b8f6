// Tokenizer: text to token ids and back. Two kinds: bytes, and SentencePiece models.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cola {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of the text, without an end-of-document id. Any bytes are allowed, valid UTF-8 or not.
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  /// Text of the ids; end-of-document and padding give nothing. Throws Error for ids outside the vocabulary.
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

  virtual std::int64_t vocab_size() const = 0;
  virtual std::int64_t eos_id() const = 0;
  /// What rows are filled with; may equal eos_id.
  virtual std::int64_t pad_id() const = 0;
  /// Name, and hash where there is a model: "bytes", or "c4.model xxh3:0123456789abcdef". Equal if and only
  /// if the ids mean the same (up to the model file's name).
  virtual std::string identity() const = 0;
  /// The content of its model's file; empty where there is none.
  virtual std::string model() const = 0;
};

/// Whether a text is an identity as tokenizers here give it. Token files of other origin may say anything.
bool is_tokenizer_identity(std::string_view text);
/// Whether two identities are of one tokenizer, whatever its model's file is called.
bool is_same_tokenizer(std::string_view identity, std::string_view other);

/// Ids 0-255 are the bytes, 256 the end of a document, 257 padding.
std::unique_ptr<Tokenizer> make_byte_tokenizer();

/// A SentencePiece model (T5's, LLaMA's). Padding is the model's own pad piece or, in models without one,
/// eos. Throws UsageError naming the file if it cannot be read, is no such model, or has no end-of-sentence
/// piece.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);

}  // namespace cola
