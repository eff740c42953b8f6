#include "train/evaluation.h"

#include <algorithm>
#include <array>
#include <vector>

#include "core/divide_up.h"
#include "core/error.h"
#include "train/batch_loader.h"

namespace cola {

namespace {

// Samples in their own order.
constexpr auto in_order = [](std::int64_t sample) { return sample; };

std::int64_t evaluated_samples(const TokenDataset& dataset, std::int64_t token_limit) {
  return std::clamp<std::int64_t>(token_limit / dataset.sequence_length(), 1, dataset.samples());
}

}  // namespace

void require_targets(const TokenDataset& dataset, std::int64_t token_limit) {
  std::vector<std::int32_t> inputs, targets;
  const std::int64_t samples = evaluated_samples(dataset, token_limit);
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    read_batch(dataset, sample, sample + 1, in_order, inputs, targets);
    if (count_targets(targets) > 0) return;
  }
  throw UsageError("data.validation: the {} sequences to evaluate hold no target tokens, only padding",
                   samples);
}

std::optional<EvaluationResult> evaluate(Transformer& model, ParameterStore& store,
                                         const TokenDataset& dataset, Communicator& communicator,
                                         std::int64_t micro_batch, std::int64_t token_limit,
                                         const std::function<bool()>& stop_requested) {
  const std::int64_t samples = evaluated_samples(dataset, token_limit);
  const std::int64_t begin = samples * communicator.rank() / communicator.size();
  const std::int64_t end = samples * (communicator.rank() + 1) / communicator.size();
  const std::int64_t largest_share = divide_up(samples, communicator.size());
  std::vector<std::int32_t> inputs, targets;
  std::array<double, 2> sums{0, 0};  // losses, targets
  // As many passes on every rank, for they may be collective.
  for (std::int64_t done = 0; done < largest_share; done += micro_batch) {
    if (stop_requested()) {
      model.take_loss();  // of the part that was done
      return std::nullopt;
    }
    const std::int64_t first = begin + done, last = std::min(end, first + micro_batch);
    model.forward(store, read_batch(dataset, first, last, in_order, inputs, targets));
    sums[1] += static_cast<double>(count_targets(targets));
  }
  sums[0] = model.take_loss();
  communicator.all_reduce(sums);
  if (sums[1] == 0) throw AgreedError("the validation data holds no target tokens, only padding");
  return EvaluationResult{sums[0] / sums[1], static_cast<std::int64_t>(sums[1])};
}

}  // namespace cola
