// Resume: which checkpoint a run starts from.
#pragma once

#include <string>

#include "dist/communicator.h"
#include "io/files/directory_lock.h"
#include "train/checkpoints/same_run.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// Which checkpoint a run starts from: the newest that verifies, none, or one step folder.
struct ResumeChoice {
  enum class Kind { newest, none, folder } kind = Kind::newest;
  std::string folder = {};
};
/// "auto", "none" or a step folder, as on the command line.
ResumeChoice parse_resume(const std::string& text);

/// The checkpoint that `choice` names, its shards verified by all ranks together; empty where there is none.
/// Only reads. Collective. Throws UsageError for one that is damaged, and where none is intact.
std::string find_checkpoint(Communicator& communicator, const RunConfiguration& configuration,
                            const ResumeChoice& choice);

/// What a run begins with: the checkpoint's folder, empty for a fresh start, whether it lies in the run's own
/// directory (another run's step is not saved there yet) and is of its last step, so that nothing is left to
/// save, what has changed since, the attempt's name, and rank 0's lock on the run directory.
struct RunStart {
  std::string folder = {};
  bool is_own = false, is_finished = false;
  std::string changes = {};  // on rank 0; empty if nothing has
  std::string attempt = {};
  DirectoryLock lock = {};
};

/// Locks the run directory, finds the checkpoint to resume from, its shards verified by all ranks together,
/// and clears away what a crash left. A damaged newest one is passed over with a warning. A folder that the
/// last start of this kind was given too is the beginning of what has come of it since: the run resumes from
/// there. Collective. Throws UsageError if a fresh start would mix with checkpoints that exist, if the
/// checkpoint was trained as another model, on other samples or beyond the last step, or if there is no room
/// for a single checkpoint where one will be saved.
RunStart find_start(Communicator& communicator, const RunIdentity& run, const ResumeChoice& choice);

}  // namespace cola
