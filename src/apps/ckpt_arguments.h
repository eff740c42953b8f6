// What the commands of cola_ckpt share: their words.
#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <utility>
#include <vector>

#include "apps/program.h"
#include "io/checkpoint_directory.h"
#include "io/checkpoint_reader.h"

namespace cola {

/// The words after a command's name: paths, and the options that are `known`. Throws UsageError.
class CheckpointArguments {
 public:
  CheckpointArguments(const std::vector<std::string>& words,
                      boost::program_options::options_description known) {
    namespace options = boost::program_options;
    known.add_options()("path", options::value<std::vector<std::string>>(), "");
    values_ =
        parse_words("cola_ckpt", words, known, options::positional_options_description().add("path", -1));
  }

  bool has(const char* option) const { return values_.count(option) > 0; }
  /// The option's value, or its default; an empty text where it has neither.
  std::string text(const char* option) const {
    return has(option) ? values_[option].as<std::string>() : std::string();
  }
  int number(const char* option) const { return values_[option].as<int>(); }
  /// Throws UsageError with `usage` for fewer or more of them.
  std::vector<std::string> paths(std::size_t least, std::size_t most, const std::string& usage) const {
    auto found = has("path") ? values_["path"].as<std::vector<std::string>>() : std::vector<std::string>{};
    if (found.size() < least || found.size() > most) throw UsageError("usage: cola_ckpt {}", usage);
    return found;
  }

 private:
  boost::program_options::variables_map values_;
};

/// The checkpoint that is meant by `path`, compared with its checksums unless --no-verify is given.
inline CheckpointReader open_checkpoint(const CheckpointArguments& arguments, const std::string& path) {
  return CheckpointReader(resolve_checkpoint(path),
                          arguments.has("no-verify") ? ShardCheck::size : ShardCheck::checksum);
}

}  // namespace cola
