// cola_data inspect: what token files hold, and whether they are good.
#pragma once

#include <string>
#include <vector>

namespace cola {

/// The whole command; `words` are those after its name. Returns the exit code. Throws UsageError, or
/// FileError for a damaged file if it is the only one; of several, each damaged one is logged.
int inspect_tokens(const std::vector<std::string>& words);

}  // namespace cola
