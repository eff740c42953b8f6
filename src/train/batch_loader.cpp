#include "train/batch_loader.h"

#include <algorithm>
#include <span>

#include "core/error.h"
#include "core/kernels/cross_entropy.h"

namespace cola {

namespace {
std::int64_t divide_up(std::int64_t count, std::int64_t parts) {
  return (count + parts - 1) / parts;
}
}  // namespace

TokenBatch batch_without_targets(std::vector<std::int32_t>& inputs, std::vector<std::int32_t>& targets,
                                 std::int64_t sequence_length) {
  inputs.assign(static_cast<std::size_t>(sequence_length), 0);
  targets.assign(inputs.size(), ignored_target);
  return {inputs, targets, 1, sequence_length};
}

BatchLoader::BatchLoader(const TokenDataset& dataset, std::uint64_t seed, std::int64_t global_batch,
                         std::int64_t micro_batch, int rank, int ranks)
    : dataset_(dataset),
      order_(seed, dataset.samples(), dataset.sample_bytes()),
      micro_batch_(micro_batch),
      micro_batches_(divide_up(divide_up(global_batch, ranks), micro_batch)),
      begin_(global_batch * rank / ranks),
      end_(global_batch * (rank + 1) / ranks) {
  if (begin_ == end_)
    throw UsageError("train.global_batch: {} sequences cannot be dealt out to {} ranks", global_batch, ranks);
}

TokenBatch BatchLoader::load(std::int64_t first_sample, std::int64_t index) {
  const std::int64_t length = dataset_.sequence_length();
  const std::int64_t first = begin_ + index * micro_batch_, last = std::min(end_, first + micro_batch_);
  if (first >= last) return batch_without_targets(inputs_, targets_, length);
  inputs_.resize(static_cast<std::size_t>((last - first) * length));
  targets_.resize(inputs_.size());
  for (std::int64_t sequence = first; sequence < last; ++sequence) {
    const auto offset = static_cast<std::size_t>((sequence - first) * length);
    dataset_.read(order_.at(first_sample + sequence),
                  std::span(inputs_).subspan(offset, static_cast<std::size_t>(length)),
                  std::span(targets_).subspan(offset, static_cast<std::size_t>(length)));
  }
  targets_of_step_ = (index == 0 ? 0 : targets_of_step_) + count_targets(targets_);
  return {inputs_, targets_, last - first, length};
}

}  // namespace cola
