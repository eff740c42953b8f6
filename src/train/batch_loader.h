// BatchLoader: one rank's part of each global batch, as micro-batches. A global batch is sequences [step * B,
// (step+1) * B) of the sample order, dealt out to the ranks in stretches as even as can be: the samples of a
// step do not depend on the number of ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "io/tokens/blended_order.h"
#include "io/tokens/dataset.h"
#include "model/transformer.h"

namespace cola {

/// How many micro-batches a rank makes of its part of a global batch: at least one, and as many on all ranks,
/// so that passes may be collective.
std::int64_t micro_batches_of(std::int64_t global_batch, std::int64_t micro_batch, int ranks);

/// One sequence that adds nothing to loss and gradient, for a rank that has no samples left while others make
/// another pass. The two vectors hold its memory.
TokenBatch batch_without_targets(std::vector<std::int32_t>& inputs, std::vector<std::int32_t>& targets,
                                 std::int64_t sequence_length);

/// Samples sample_at(first) to sample_at(last - 1) as one batch; without any, one without targets. The two
/// vectors hold its memory. Throws FileError.
template <typename SampleAt>
TokenBatch read_batch(const TokenDataset& dataset, std::int64_t first, std::int64_t last,
                      SampleAt&& sample_at, std::vector<std::int32_t>& inputs,
                      std::vector<std::int32_t>& targets) {
  const std::int64_t length = dataset.sequence_length();
  if (first >= last) return batch_without_targets(inputs, targets, length);
  inputs.resize(static_cast<std::size_t>((last - first) * length));
  targets.resize(inputs.size());
  for (std::int64_t place = first; place < last; ++place) {
    const auto offset = static_cast<std::size_t>((place - first) * length);
    dataset.read(sample_at(place), std::span(inputs).subspan(offset, static_cast<std::size_t>(length)),
                 std::span(targets).subspan(offset, static_cast<std::size_t>(length)));
  }
  return {inputs, targets, last - first, length};
}

class BatchLoader {
 public:
  /// `dataset` must outlive the loader.
  BatchLoader(const TokenDataset& dataset, std::uint64_t seed, std::int64_t global_batch,
              std::int64_t micro_batch, int rank, int ranks);

  /// Number of micro-batches in every step.
  std::int64_t micro_batches() const { return micro_batches_; }

  /// Micro-batch `index` of the step that starts at position `first_sample` of the sample order; a rank whose
  /// share has ended gets one sequence without targets. The batch's memory is valid until the next call.
  /// Throws FileError.
  TokenBatch load(std::int64_t first_sample, std::int64_t index);

  /// Targets that are not ignored in the micro-batches loaded since micro-batch 0.
  std::int64_t targets_of_step() const { return targets_of_step_; }

 private:
  const TokenDataset& dataset_;
  BlendedOrder order_;
  std::int64_t micro_batch_;
  std::int64_t micro_batches_;
  std::int64_t begin_, end_;  // this rank's sequences inside a global batch
  std::vector<std::int32_t> inputs_, targets_;
  std::int64_t targets_of_step_ = 0;
};

}  // namespace cola
