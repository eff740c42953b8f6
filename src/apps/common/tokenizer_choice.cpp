#include "apps/common/tokenizer_choice.h"

#include "core/error.h"

namespace cola {

namespace options = boost::program_options;

void TokenizerChoice::require() const {
  if (bytes == !model.empty()) throw UsageError("give either --tokenizer MODEL or --bytes");
}

void add_tokenizer_options(options::options_description& description, TokenizerChoice& choice) {
  auto add = description.add_options();
  add("tokenizer", options::value(&choice.model)->value_name("MODEL"),
      "the SentencePiece model of the training data");
  add("bytes", options::bool_switch(&choice.bytes), "the training data was tokenized as bytes");
}

std::string tokenizer_of(const Manifest& manifest) {
  return manifest.data ? manifest.data->tokenizer : std::string();
}

std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerChoice& choice, const Manifest& manifest) {
  choice.require();
  std::unique_ptr<Tokenizer> tokenizer = choice.bytes ? make_byte_tokenizer() : load_tokenizer(choice.model);
  const std::string trained_with = tokenizer_of(manifest);
  if (is_tokenizer_identity(trained_with) && !is_same_tokenizer(tokenizer->identity(), trained_with))
    throw UsageError("{}: is '{}', but the model was trained with '{}', and needs that one",
                     choice.bytes ? "--bytes" : "--tokenizer " + choice.model, tokenizer->identity(),
                     trained_with);
  return tokenizer;
}

}  // namespace cola
