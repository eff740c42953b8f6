// Checkpoint benchmark: what saving beside training costs, against a synchronous save of the same state and
// against plain reads and writes of the same bytes on the same disk, all in one run.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "dist/communicator.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// Seconds are medians over the rounds, of the slowest rank.
struct CheckpointBenchmark {
  double bytes = 0;                // of a checkpoint, all ranks
  double plain_write_seconds = 0;  // all bytes in large blocks, then fsync
  double synchronous_seconds = 0;  // a save that training waits for, commit included
  double processor_seconds = 0;  // what such a save takes of all cores together, without the system's threads
  double blocked_seconds = 0;    // how long training waited for a save beside it
  double background_seconds = 0;  // from the snapshot to the commit of such a save
  double step_seconds = 0;        // with nothing beside it
  double lost_seconds = 0;        // what the steps of such a save took longer, waiting included
  double plain_read_seconds = 0;  // the shards' bytes, from the disk
  double load_seconds = 0;        // load_checkpoint, from the disk
  double verify_seconds = 0;      // the checksums of all ranks' shares, from the disk
};

/// `rounds` of each; a round of training lasts as long as a save. Works in a folder of its own under
/// configuration.run.dir, and removes it. Collective. Throws Error if a save fails.
CheckpointBenchmark benchmark_checkpoint(const RunConfiguration& configuration, Device& device,
                                         Communicator& communicator, int rounds, std::int64_t micro_batches);

}  // namespace cola
