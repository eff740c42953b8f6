#include "train/batch_loader.h"

#include <algorithm>

#include "core/divide_up.h"
#include "core/error.h"
#include "core/kernels/cross_entropy.h"

namespace cola {

std::int64_t micro_batches_of(std::int64_t global_batch, std::int64_t micro_batch, int ranks) {
  return divide_up(divide_up(global_batch, ranks), micro_batch);
}

TokenBatch batch_without_targets(std::vector<std::int32_t>& inputs, std::vector<std::int32_t>& targets,
                                 std::int64_t sequence_length) {
  inputs.assign(static_cast<std::size_t>(sequence_length), 0);
  targets.assign(inputs.size(), ignored_target);
  return {inputs, targets, 1, sequence_length};
}

BatchLoader::BatchLoader(const TokenDataset& dataset, std::uint64_t seed, std::int64_t global_batch,
                         std::int64_t micro_batch, int rank, int ranks)
    : dataset_(dataset),
      order_(seed, dataset.corpora()),
      micro_batch_(micro_batch),
      micro_batches_(micro_batches_of(global_batch, micro_batch, ranks)),
      begin_(global_batch * rank / ranks),
      end_(global_batch * (rank + 1) / ranks) {
  if (global_batch < ranks)  // on all ranks alike
    throw UsageError("train.global_batch: {} sequences cannot be dealt out to {} ranks", global_batch, ranks);
}

TokenBatch BatchLoader::load(std::int64_t first_sample, std::int64_t index) {
  const std::int64_t first = begin_ + index * micro_batch_, last = std::min(end_, first + micro_batch_);
  const TokenBatch batch = read_batch(
      dataset_, first, last, [&](std::int64_t sequence) { return order_.at(first_sample + sequence); },
      inputs_, targets_);
  targets_of_step_ = (index == 0 ? 0 : targets_of_step_) + count_targets(targets_);
  return batch;
}

}  // namespace cola
