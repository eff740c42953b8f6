// Plan: what a run needs, computed from the parameter table, the shard map and a counting arena: no memory is
// allocated and no rank is started.
#pragma once

#include <cstddef>
#include <string>

#include "train/run_configuration.h"

namespace cola {

/// Bytes are of one rank.
struct Plan {
  int ranks = 1;
  std::string title, precision;
  double parameters = 0, operations_per_token = 0, operations_per_step = 0;
  std::size_t weight_bytes = 0, gradient_bytes = 0, optimizer_bytes = 0, activation_bytes = 0;
  double sent_bytes_per_step = 0;  // reduce-scatter and all-gather, or all-reduce
  double checkpoint_bytes = 0;     // of all ranks together
  std::size_t ring_bytes = 0;      // host memory that checkpoints pass through
  std::size_t total_bytes() const {
    return weight_bytes + gradient_bytes + optimizer_bytes + activation_bytes;
  }
};

/// `precision: auto` counts as bf16. Throws UsageError if the run cannot be.
Plan make_plan(const RunConfiguration& configuration, int ranks);

/// The plan as a table for people.
std::string describe_plan(const Plan& plan);

}  // namespace cola
