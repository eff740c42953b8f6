// cola_ckpt export and import: weights for other programs, and from them.
#pragma once

#include <string>
#include <vector>

namespace cola {

/// The whole commands; `words` are those after their names. Return the exit code. Throw UsageError, or
/// FileError for what is damaged or cannot be written.
int export_checkpoint(const std::vector<std::string>& words);
int import_checkpoint(const std::vector<std::string>& words);

}  // namespace cola
