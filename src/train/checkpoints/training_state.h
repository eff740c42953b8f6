// What a checkpoint says of a run besides tensors, and where a run keeps its checkpoints.
#pragma once

#include <cstdint>
#include <string>

#include "io/files/run_directory.h"
#include "train/configuration/run_configuration.h"

namespace cola {

struct TrainingState {
  std::int64_t step = 0;         // optimizer updates done
  std::int64_t next_sample = 0;  // position in the sample order
  std::int64_t tokens = 0;       // trained on so far
};

/// run.dir/checkpoints
inline std::string checkpoints_of(const RunConfiguration& configuration) {
  return checkpoints_folder(configuration.run.dir);
}

}  // namespace cola
