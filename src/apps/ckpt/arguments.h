// What the commands of cola_ckpt share: their words.
#pragma once

#include <boost/program_options.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "io/checkpoints/checkpoint_reader.h"

namespace cola {

/// The words after a command's name: paths, and the options that are `known`. Throws UsageError.
class CheckpointArguments {
 public:
  CheckpointArguments(const std::vector<std::string>& words,
                      boost::program_options::options_description known);

  bool has(const char* option) const { return values_.count(option) > 0; }
  /// The option's value, or its default; an empty text where it has neither.
  std::string text(const char* option) const;
  int number(const char* option) const { return values_[option].as<int>(); }
  /// Throws UsageError with `usage` for fewer or more of them.
  std::vector<std::string> paths(std::size_t least, std::size_t most, const std::string& usage) const;

 private:
  boost::program_options::variables_map values_;
};

/// The checkpoint that is meant by `path`, compared with its checksums unless --no-verify is given.
CheckpointReader open_checkpoint(const CheckpointArguments& arguments, const std::string& path);

}  // namespace cola
