// cola_data tokenize: token files out of text, on one rank or many.
#pragma once

#include <string>
#include <vector>

#include "dist/communicator.h"

namespace cola {

/// The whole command; `words` are those after its name. Returns the exit code. Collective. Throws UsageError,
/// the same on all ranks, or ReportedError.
int tokenize_text(Communicator& world, const std::vector<std::string>& words);

}  // namespace cola
