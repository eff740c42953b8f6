// cola_data inspect: what a token file holds, and whether it is good.
#pragma once

#include <string>
#include <vector>

namespace cola {

/// The whole command; `words` are those after its name. Returns the exit code. Throws UsageError, or
/// FileError for a damaged file.
int inspect_tokens(const std::vector<std::string>& words);

}  // namespace cola
