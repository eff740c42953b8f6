// cola_ckpt list: every checkpoint of a run, with its state.
#pragma once

#include <string>
#include <vector>

namespace cola {

/// The whole command; `words` are those after its name. Returns the exit code. Throws UsageError,
/// also for a folder that is not there, or FileError.
int list_checkpoints(const std::vector<std::string>& words);

}  // namespace cola
