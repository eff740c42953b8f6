// Comparison and norms of checkpoints, tensor by tensor, whatever number of shards each was written as.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/checkpoints/checkpoint_reader.h"

namespace cola {

/// One tensor, or one of its moments, that is not byte-identical in two checkpoints.
struct TensorDifference {
  std::string name;
  StateTensor tensor = StateTensor::weights;
  /// Set where the tensors cannot be compared: it is in one checkpoint only, or of another shape.
  std::string reason;
  std::int64_t elements = 0;  // that differ in at least one bit
  double max_difference = 0;  // largest absolute difference; NaN if an element is NaN on one side
};

/// Every difference between `a` and `b`, in the order of a's parameters; empty if all weights and both
/// moments are byte-identical. Padding is not compared. Throws FileError.
std::vector<TensorDifference> compare_checkpoints(CheckpointReader& a, CheckpointReader& b);

/// L2 norms of a parameter and its moments.
struct TensorNorms {
  double weights = 0, exp_avg = 0, exp_avg_sq = 0;
};
TensorNorms tensor_norms(CheckpointReader& reader, const Parameter& parameter);

}  // namespace cola
