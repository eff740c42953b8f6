// Resume: which checkpoint a run starts from, and bringing it back.
#pragma once

#include <cstdint>
#include <string>

#include "core/device.h"
#include "dist/communicator.h"
#include "dist/sharded_parameter_store.h"
#include "io/directory_lock.h"
#include "model/parameter_table.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// What a checkpoint says of a run besides tensors.
struct TrainingState {
  std::int64_t step = 0;         // optimizer updates done
  std::int64_t next_sample = 0;  // position in the sample order
  std::int64_t tokens = 0;       // trained on so far
};

/// Which checkpoint a run starts from: the newest that verifies, none, or one step folder.
struct ResumeChoice {
  enum class Kind { newest, none, folder } kind = Kind::newest;
  std::string folder;
};
/// "auto", "none" or a step folder, as on the command line.
ResumeChoice parse_resume(const std::string& text);

/// run.dir/checkpoints
std::string checkpoints_of(const RunConfiguration& configuration);

/// The checkpoint that `choice` names, its shards verified by all ranks together; empty where there is none.
/// Only reads. Collective. Throws UsageError for one that is damaged.
std::string find_checkpoint(Communicator& communicator, const RunConfiguration& configuration,
                            const ResumeChoice& choice);

/// What a run begins with: the checkpoint's folder, empty for a fresh start, whether it lies in the run's own
/// directory (another run's step is not saved there yet), the attempt's name, and rank 0's lock on that
/// directory.
struct RunStart {
  std::string folder;
  bool is_own = false;
  std::string attempt;
  DirectoryLock lock;
};

/// Finds the checkpoint to resume from, its shards verified by all ranks together, and clears away what a
/// crash left. A damaged newest one is passed over with a warning. Collective. Throws UsageError if a fresh
/// start would mix with checkpoints that exist, if the checkpoint was trained as another model or on another
/// order of samples, or if there is no room for a single checkpoint.
RunStart find_start(Communicator& communicator, const ParameterTable& table,
                    const RunConfiguration& configuration, const ResumeChoice& choice);

/// Loads this rank's part of `folder`, whatever number of ranks wrote it: only the ranges it needs.
/// Collective. Throws FileError.
TrainingState load_checkpoint(const std::string& folder, Communicator& communicator, Device& device,
                              ShardedParameterStore& store);

}  // namespace cola
