#include "io/exchange/huggingface_tokenizer.h"

#include "io/exchange/sentencepiece_model.h"
#include "io/exchange/tokenizer_json.h"
#include "io/exchange/weights_file.h"
#include "io/text/json_text.h"

namespace cola {

namespace {

using Json = nlohmann::ordered_json;

// Texts were trained on without anything before them but the end of the one before: that begins a text here.
std::string settings(const std::string& end, const std::string& padding, std::int64_t longest) {
  const Json json = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                     {"bos_token", end},
                     {"eos_token", end},
                     {"pad_token", padding},
                     {"model_max_length", longest},
                     {"clean_up_tokenization_spaces", false}};
  return json_text(json, 2) + "\n";
}

}  // namespace

std::vector<NamedText> huggingface_tokenizer_files(const Tokenizer& tokenizer, std::int64_t longest) {
  const std::string content = tokenizer.model();
  if (content.empty())
    return {{exported::tokenizer_name, byte_tokenizer_json()},
            {exported::tokenizer_settings_name, settings(byte_end_text, byte_padding_text, longest)}};
  const SentencePieceModel model = read_sentencepiece_model(content, tokenizer.identity());
  const auto piece = [&](std::int64_t id) { return model.pieces.at(static_cast<std::size_t>(id)).text; };
  return {{exported::tokenizer_name, tokenizer_json(model, tokenizer.identity())},
          {exported::tokenizer_settings_name,
           settings(piece(tokenizer.eos_id()), piece(tokenizer.pad_id()), longest)},
          {exported::sentencepiece_name, content}};
}

NamedText huggingface_generation_file(const Tokenizer& tokenizer) {
  const Json json = {{"bos_token_id", tokenizer.eos_id()},
                     {"eos_token_id", tokenizer.eos_id()},
                     {"pad_token_id", tokenizer.pad_id()}};
  return {exported::generation_name, json_text(json, 2) + "\n"};
}

}  // namespace cola
