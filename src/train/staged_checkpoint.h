// Checkpoints that a run which ended early left on the nodes' own disks (checkpoint.local_dir).
#pragma once

#include "dist/communicator.h"
#include "train/run_configuration.h"

namespace cola {

/// Drains the newest one that is there whole and newer than every committed checkpoint to the run directory
/// and commits it. Where that fails, a warning says why, and the committed checkpoints count. Collective;
/// rank 0 holds the run directory's lock.
void commit_staged_checkpoint(Communicator& communicator, const RunConfiguration& configuration);

/// Clears the nodes' disks of what the run left there. Collective.
void clear_staged_checkpoints(Communicator& communicator, const RunConfiguration& configuration);

}  // namespace cola
