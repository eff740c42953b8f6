// PastPace: how long a step and a checkpoint took in the jobs before, from the run's metrics.jsonl. A job
// that is started again knows at once how long before its end it has to stop.
#pragma once

#include <string>

namespace cola {

struct PastPace {
  double step_seconds = 0, checkpoint_seconds = 0;  // 0: not known
};

/// The median of the last 20 steps and the faster of the last two checkpoints of jobs on so many ranks: on
/// others, shards and steps are of another size. Throws FileError for a file that cannot be read; without one
/// nothing is known.
PastPace read_past_pace(const std::string& run_directory, int ranks);

}  // namespace cola
