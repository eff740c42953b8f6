#include "io/exchange/sentencepiece_model.h"

#include <bit>
#include <cstdint>
#include <string_view>

#include "core/error.h"

namespace cola {

namespace {

// One field of a message: a number, or the bytes of a text or of a message inside.
struct ProtocolField {
  std::uint64_t number = 0;  // which field of the message it is
  std::uint64_t value = 0;
  std::string_view bytes;

  float as_float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(value)); }
};

// The fields of a message in the protocol buffers' wire format, one after another.
class ProtocolReader {
 public:
  explicit ProtocolReader(std::string_view message) : rest_(message) {}

  bool next(ProtocolField& field) {
    if (rest_.empty()) return false;
    const std::uint64_t key = variable_length();
    field = {key >> 3, 0, {}};
    switch (key & 7) {
      case 0:
        field.value = variable_length();
        break;
      case 1:
        field.value = little_endian(8);
        break;
      case 2:
        field.bytes = take(variable_length());
        break;
      case 5:
        field.value = little_endian(4);
        break;
      default:
        throw Error("a field of an unknown kind");
    }
    return true;
  }

 private:
  std::string_view take(std::uint64_t count) {
    if (count > rest_.size()) throw Error("a field reaches beyond the end");
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::uint64_t little_endian(std::uint64_t count) {
    std::uint64_t value = 0, shift = 0;
    for (const char byte : take(count)) {
      value |= std::uint64_t{static_cast<unsigned char>(byte)} << shift;
      shift += 8;
    }
    return value;
  }
  // Seven bits a byte, the lowest first; the eighth says that there are more.
  std::uint64_t variable_length() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1).front());
      value |= std::uint64_t{byte & 127u} << shift;
      if (byte < 128) return value;
    }
    throw Error("a number without an end");
  }

  std::string_view rest_;
};

SentencePiece read_piece(std::string_view message) {
  SentencePiece piece;
  ProtocolReader reader(message);
  for (ProtocolField field; reader.next(field);) {
    if (field.number == 1) piece.text = field.bytes;
    if (field.number == 2) piece.score = field.as_float();
    if (field.number == 3) piece.kind = static_cast<SentencePiece::Kind>(field.value);
  }
  return piece;
}

void read_trainer(std::string_view message, SentencePieceModel& model) {
  ProtocolReader reader(message);
  for (ProtocolField field; reader.next(field);) {
    if (field.number == 3) model.algorithm = static_cast<SentencePieceModel::Algorithm>(field.value);
    if (field.number == 24) model.blank_is_suffix = field.value != 0;
    if (field.number == 35) model.byte_fallback = field.value != 0;
  }
}

void read_normalizer(std::string_view message, SentencePieceModel& model) {
  ProtocolReader reader(message);
  for (ProtocolField field; reader.next(field);) {
    if (field.number == 2) model.character_map = field.bytes;
    if (field.number == 3) model.adds_prefix = field.value != 0;
    if (field.number == 4) model.removes_blanks = field.value != 0;
    if (field.number == 5) model.marks_blanks = field.value != 0;
  }
}

}  // namespace

SentencePieceModel read_sentencepiece_model(const std::string& content, const std::string& origin) try {
  SentencePieceModel model;
  ProtocolReader reader(content);
  for (ProtocolField field; reader.next(field);) {
    if (field.number == 1) model.pieces.push_back(read_piece(field.bytes));
    if (field.number == 2) read_trainer(field.bytes, model);
    if (field.number == 3) read_normalizer(field.bytes, model);
  }
  return model;
} catch (const Error& problem) {
  throw UsageError("{}: not a SentencePiece model: {}", origin, problem.what());
}

}  // namespace cola
