#include "train/benchmarks/benchmark_model.h"

#include <algorithm>
#include <span>

#include "core/philox.h"
#include "train/configuration/precision.h"
#include "train/configuration/transformer_options.h"

namespace cola {

namespace {

std::vector<std::int32_t> random_ids(std::uint64_t key, std::size_t count, std::int64_t vocabulary) {
  std::vector<std::int32_t> ids(count);
  for (std::size_t i = 0; i < count; ++i)
    ids[i] = static_cast<std::int32_t>(philox(key, i)[0] % static_cast<std::uint64_t>(vocabulary));
  return ids;
}

}  // namespace

BenchmarkModel::BenchmarkModel(const RunConfiguration& configuration, Device& device,
                               Communicator& communicator)
    : table_(configuration.model),
      model_(device, table_,
             transformer_options(configuration, compute_type_of(configuration.train.precision, device),
                                 device.kind())),
      store_(device, communicator, table_,
             {configuration.parallel.zero_stage, compute_type_of(configuration.train.precision, device)}) {
  const std::int64_t batch = configuration.train.micro_batch, length = configuration.data.sequence_length;
  store_.initialize(configuration.run.seed);
  ids_ = random_ids(philox_key(1, "benchmark") + static_cast<std::uint64_t>(communicator.rank()),
                    static_cast<std::size_t>(batch * length) + 1, configuration.model.vocab_size);
  const std::span<const std::int32_t> all(ids_);
  batch_ = {all.first(all.size() - 1), all.subspan(1), batch, length};
}

void BenchmarkModel::step(std::int64_t micro_batches, const std::function<void()>& between,
                          const std::function<void()>& before_update) {
  store_.zero_gradients();
  for (std::int64_t index = 0; index < micro_batches; ++index) {
    if (index + 1 == micro_batches) store_.begin_last_micro_batch();
    model_.forward_backward(store_, batch_);
    between();
  }
  model_.take_loss();
  const double norm = store_.gradient_norm();
  before_update();
  store_.update({.learning_rate = 1e-4f,
                 .step = ++steps_,
                 .gradient_scale = static_cast<float>(1.0 / std::max(1.0, norm))});
}

}  // namespace cola
