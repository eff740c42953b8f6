// The choice of --resume STEP_DIR, kept in run.dir/resumed_from: the same command, given again, resumes from
// what has come of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace cola {

/// Notes for rank 0 that the run was started from `chosen`, as it was given on the command line; checkpoints
/// of the run beyond `step` are from then on its own progress. Throws FileError.
void note_chosen_start(const std::string& run_directory, const std::string& chosen, std::int64_t step);

/// The step beyond which checkpoints have come of starting from `chosen`; nothing unless that was the last
/// choice. For rank 0. Throws FileError if what is there cannot be read.
std::optional<std::int64_t> find_chosen_start(const std::string& run_directory, const std::string& chosen);

/// Forgets it, for a run that begins anew. Throws FileError.
void forget_chosen_start(const std::string& run_directory);

}  // namespace cola
