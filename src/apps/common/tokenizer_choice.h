// Which tokenizer a program speaks to a model with, from its command line.
#pragma once

#include <boost/program_options.hpp>
#include <memory>
#include <string>

#include "io/checkpoints/manifest.h"
#include "io/tokens/tokenizer.h"

namespace cola {

struct TokenizerChoice {
  std::string model;
  bool bytes = false;

  bool is_given() const { return bytes || !model.empty(); }
  /// One, and not both. Throws UsageError.
  void require() const;
};

void add_tokenizer_options(boost::program_options::options_description& description, TokenizerChoice& choice);

/// The identity of the tokenizer of a checkpoint's training data; empty where it does not say.
std::string tokenizer_of(const Manifest& manifest);

/// Ids of another tokenizer are other text. Not every checkpoint says which one it was. Throws UsageError.
std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerChoice& choice, const Manifest& manifest);

}  // namespace cola
