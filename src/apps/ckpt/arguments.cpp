#include "apps/ckpt/arguments.h"

#include <utility>

#include "apps/common/command_line.h"
#include "core/error.h"
#include "io/checkpoints/checkpoint_directory.h"

namespace cola {

namespace options = boost::program_options;

CheckpointArguments::CheckpointArguments(const std::vector<std::string>& words,
                                         options::options_description known) {
  known.add_options()("path", options::value<std::vector<std::string>>(), "");
  values_ = parse_words("cola_ckpt", words, known, options::positional_options_description().add("path", -1));
}

std::string CheckpointArguments::text(const char* option) const {
  return has(option) ? values_[option].as<std::string>() : std::string();
}

std::vector<std::string> CheckpointArguments::paths(std::size_t least, std::size_t most,
                                                    const std::string& usage) const {
  auto found = has("path") ? values_["path"].as<std::vector<std::string>>() : std::vector<std::string>{};
  if (found.size() < least || found.size() > most) throw UsageError("usage: cola_ckpt {}", usage);
  return found;
}

CheckpointReader open_checkpoint(const CheckpointArguments& arguments, const std::string& path) {
  return CheckpointReader(resolve_checkpoint(path),
                          arguments.has("no-verify") ? ShardCheck::size : ShardCheck::checksum);
}

}  // namespace cola
