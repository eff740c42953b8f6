// cola_ckpt show: what a checkpoint holds.
#pragma once

#include <string>
#include <vector>

namespace cola {

/// The whole command; `words` are those after its name. Returns the exit code. Throws UsageError, or
/// FileError for a damaged checkpoint.
int show_checkpoint(const std::vector<std::string>& words);

}  // namespace cola
