// tokenizer.json: a tokenizer as Hugging Face's tokenizers library runs it, written so that its ids are those
// of the tokenizers here. (transformers' own conversion of SentencePiece models takes each for LLaMA's, and
// so keeps line ends and double blanks that most models were trained without.)
#pragma once

#include <string>

#include "io/exchange/sentencepiece_model.h"

namespace cola {

/// What ids 256 and 257 of bytes are written as.
inline constexpr const char* byte_end_text = "</s>";
inline constexpr const char* byte_padding_text = "<pad>";

std::string byte_tokenizer_json();

/// Of a unigram or byte-pair model. Throws UsageError naming `origin` for one that the library has no like
/// of.
std::string tokenizer_json(const SentencePieceModel& model, const std::string& origin);

}  // namespace cola
