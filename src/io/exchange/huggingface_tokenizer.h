// The files by which Hugging Face's tools find a model's tokenizer beside its weights.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/tokens/tokenizer.h"

namespace cola {

struct NamedText {
  std::string name, text;
};

/// tokenizer.json, tokenizer_config.json and, of SentencePiece, tokenizer.model, the model itself. `longest`:
/// as many tokens as the model reads at once. Throws UsageError for a model that cannot be described.
std::vector<NamedText> huggingface_tokenizer_files(const Tokenizer& tokenizer, std::int64_t longest);

/// generation_config.json: the ids that end a text and fill up rows.
NamedText huggingface_generation_file(const Tokenizer& tokenizer);

}  // namespace cola
