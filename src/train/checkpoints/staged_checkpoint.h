// Checkpoints that a run which ended early left on the nodes' own disks (checkpoint.local_dir).
#pragma once

#include <string>

#include "dist/communicator.h"
#include "model/shard_map.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// Begins an attempt, one job that works in the run directory: its name, unlike that of any before, stands in
/// run.dir/attempt until the next one begins. Shards are staged under it, since those of two attempts may
/// look alike and yet not belong together. For rank 0. Throws FileError.
std::string begin_attempt(const RunConfiguration& configuration);

/// Of what the last attempt left, drains the newest one that is there whole and newer than every committed
/// checkpoint to the run directory and commits it; what earlier attempts left on nodes that the last one did
/// not have is out of date. A step of which a shard cannot be found whole is passed over with a warning.
/// Throws UsageError, on all ranks, if it cannot be drained: it may be the only copy, and stays where it is.
/// Collective; rank 0 holds the run directory's lock.
void commit_staged_checkpoint(Communicator& communicator, const RunConfiguration& configuration);

/// Clears the nodes' disks of what all attempts of the run left there. Collective.
void clear_staged_checkpoints(Communicator& communicator, const RunConfiguration& configuration);

/// Makes the folder that shards are staged in, on every node that will have some. Throws UsageError, on all
/// ranks, naming rank and host, where it cannot be used or has no room for the shards of all ranks there.
/// Collective; after clear_staged_checkpoints.
void prepare_staging(Communicator& communicator, const RunConfiguration& configuration, const ShardMap& map);

}  // namespace cola
