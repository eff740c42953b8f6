// Which tokenizer a program speaks to a model with, from its command line.
#pragma once

#include <boost/program_options.hpp>
#include <memory>
#include <string>

#include "core/error.h"
#include "io/manifest.h"
#include "io/tokenizer.h"

namespace cola {

struct TokenizerChoice {
  std::string model;
  bool bytes = false;

  bool is_given() const { return bytes || !model.empty(); }
  /// One, and not both. Throws UsageError.
  void require() const {
    if (bytes == !model.empty()) throw UsageError("give either --tokenizer MODEL or --bytes");
  }
};

inline void add_tokenizer_options(boost::program_options::options_description& description,
                                  TokenizerChoice& choice) {
  description.add_options()("tokenizer", boost::program_options::value(&choice.model)->value_name("MODEL"),
                            "the SentencePiece model of the training data")(
      "bytes", boost::program_options::bool_switch(&choice.bytes),
      "the training data was tokenized as bytes");
}

/// The identity of the tokenizer of a checkpoint's training data; empty where it does not say.
inline std::string tokenizer_of(const Manifest& manifest) {
  return manifest.data ? manifest.data->tokenizer : std::string();
}

/// Ids of another tokenizer are other text. Not every checkpoint says which one it was. Throws UsageError.
inline std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerChoice& choice, const Manifest& manifest) {
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
