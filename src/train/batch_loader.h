// BatchLoader: one rank's part of each global batch, as micro-batches. A global batch is sequences [step * B,
// (step+1) * B) of the sample order, dealt out to the ranks in stretches as even as can be: the samples of a
// step do not depend on the number of ranks.
#pragma once

#include <cstdint>
#include <vector>

#include "io/dataset.h"
#include "io/sample_order.h"
#include "model/transformer.h"

namespace cola {

class BatchLoader {
 public:
  /// `dataset` must outlive the loader.
  BatchLoader(const TokenDataset& dataset, std::uint64_t seed, std::int64_t global_batch,
              std::int64_t micro_batch, int rank, int ranks);

  /// Number of micro-batches of this rank in every step: at least one.
  std::int64_t micro_batches() const;

  /// Micro-batch `index` of the step that starts at position `first_sample` of the sample order. The batch's
  /// memory is valid until the next call. Throws FileError.
  TokenBatch load(std::int64_t first_sample, std::int64_t index);

  /// Targets that are not ignored in the micro-batches loaded since micro-batch 0.
  std::int64_t targets_of_step() const { return targets_of_step_; }

 private:
  const TokenDataset& dataset_;
  SampleOrder order_;
  std::int64_t micro_batch_;
  std::int64_t begin_, end_;  // this rank's sequences inside a global batch
  std::vector<std::int32_t> inputs_, targets_;
  std::int64_t targets_of_step_ = 0;
};

}  // namespace cola
