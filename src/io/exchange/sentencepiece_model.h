// SentencePieceModel: what a SentencePiece model's file says, read by its published layout (a protocol
// buffer, sentencepiece_model.proto), for programs that tokenize by other means. The library gives pieces
// alone.
#pragma once

#include <string>
#include <vector>

namespace cola {

struct SentencePiece {
  enum class Kind { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
  std::string text;
  float score = 0;
  Kind kind = Kind::normal;
};

struct SentencePieceModel {
  enum class Algorithm { unigram = 1, byte_pairs = 2, word = 3, character = 4 };
  std::vector<SentencePiece> pieces;  // by id
  Algorithm algorithm = Algorithm::unigram;
  bool byte_fallback = false;  // unknown characters become the pieces of their bytes
  // How text is made ready: characters are mapped, superfluous blanks go, one comes before the text, and all
  // become U+2581.
  std::string character_map;
  bool removes_blanks = true;
  bool adds_prefix = true;
  bool marks_blanks = true;
  bool blank_is_suffix = false;
};

/// Throws UsageError naming `origin` where `content` does not have the layout.
SentencePieceModel read_sentencepiece_model(const std::string& content, const std::string& origin);

}  // namespace cola
