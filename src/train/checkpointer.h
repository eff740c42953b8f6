// Checkpointer: saves a run's state as a committed checkpoint and brings it back. Every rank writes its own
// shard; the ranks agree that all succeeded; rank 0 then publishes the manifest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/device.h"
#include "dist/communicator.h"
#include "dist/sharded_parameter_store.h"
#include "io/directory_lock.h"
#include "io/manifest.h"
#include "model/parameter_table.h"
#include "train/run_configuration.h"

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

class Checkpointer {
 public:
  /// `directory` is run.dir/checkpoints; `keep` committed checkpoints stay.
  Checkpointer(Device& device, Communicator& communicator, const ParameterTable& table, std::string directory,
               std::int64_t keep);

  /// Finds the checkpoint to resume from, verified, on rank 0, and tells all ranks; empty for a fresh start.
  /// A damaged newest one is passed over with a warning. Clears away what a crash left. Throws UsageError if
  /// a fresh start would mix with checkpoints that exist, or if the checkpoint was trained as another model
  /// or on another order of samples.
  std::string find(const ResumeChoice& choice, const RunConfiguration& configuration);

  /// Loads this rank's part of `folder`, whatever number of ranks wrote it. Collective. Throws FileError.
  TrainingState load(const std::string& folder, ShardedParameterStore& store);

  /// Writes and commits. Collective. Returns an empty text, or the first error with its rank: then nothing
  /// was committed, nothing half-written stays, and earlier checkpoints are untouched.
  std::string save(const TrainingState& state, const ShardedParameterStore& store, std::uint64_t seed,
                   const std::string& configuration_yaml);

  /// Step of the newest checkpoint this run committed or loaded, -1 before any.
  std::int64_t committed_step() const { return committed_step_; }

 private:
  std::string find_newest_intact() const;
  void prepare_directory(const std::string& resumed_folder) const;
  void abandon(const std::string& folder) const;
  std::string commit(const TrainingState& state, const std::string& folder, const std::string& shard_text,
                     const ShardMap& map, std::uint64_t seed, const std::string& configuration_yaml);

  Device& device_;
  Communicator& communicator_;
  const ParameterTable& table_;
  std::string directory_;
  std::int64_t keep_;
  DirectoryLock lock_;  // rank 0's, on the run directory
  std::int64_t committed_step_ = -1;
};

}  // namespace cola
