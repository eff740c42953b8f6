#include "train/training_benchmark.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "core/host.h"
#include "core/philox.h"
#include "dist/sharded_parameter_store.h"
#include "model/cost.h"
#include "model/transformer.h"
#include "train/peak_rate.h"
#include "train/precision.h"

namespace cola {

namespace {

constexpr std::int64_t product_size = 2048;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::vector<std::int32_t> random_ids(std::uint64_t key, std::size_t count, std::int64_t vocabulary) {
  std::vector<std::int32_t> ids(count);
  for (std::size_t i = 0; i < count; ++i)
    ids[i] = static_cast<std::int32_t>(philox(key, i)[0] % static_cast<std::uint64_t>(vocabulary));
  return ids;
}

// One optimizer step as the trainer makes it, without the data.
void step(Transformer& model, ShardedParameterStore& store, const TokenBatch& batch,
          std::int64_t micro_batches, std::int64_t number) {
  store.zero_gradients();
  for (std::int64_t index = 0; index < micro_batches; ++index) {
    if (index + 1 == micro_batches) store.begin_last_micro_batch();
    model.forward_backward(store, batch);
  }
  const double norm = store.gradient_norm();
  store.update({.learning_rate = 1e-4f,
                .step = number,
                .gradient_scale = static_cast<float>(1.0 / std::max(1.0, norm))});
}

// Seconds of each of `steps` steps, the slowest rank's; warm-up steps come first and are not counted.
std::vector<double> time_steps(Transformer& model, ShardedParameterStore& store, const TokenBatch& batch,
                               std::int64_t micro_batches, std::int64_t steps, Device& device,
                               Communicator& communicator) {
  constexpr std::int64_t warm_up = 2;
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  for (std::int64_t number = 1; number <= steps + warm_up; ++number) {
    communicator.barrier();
    const auto start = Clock::now();
    step(model, store, batch, micro_batches, number);
    device.synchronize();
    communicator.barrier();
    if (number > warm_up) seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  return seconds;
}

}  // namespace

TrainingBenchmark benchmark_training(const RunConfiguration& configuration, Device& device,
                                     Communicator& communicator, std::int64_t steps,
                                     std::int64_t micro_batches) {
  const DataType type = compute_type_of(configuration.train.precision, device);
  std::array<double, 2> rates{measure_product_rate(device, type, product_size), 0};
  device.reset_peak_allocated_bytes();
  reset_peak_resident_bytes();
  const std::size_t resident_before = peak_resident_bytes(), allocated_before = device.peak_allocated_bytes();
  const ParameterTable table(configuration.model);
  const std::int64_t length = configuration.data.sequence_length, batch = configuration.train.micro_batch;
  Transformer model(device, table, {batch, length, type, configuration.train.recompute});
  ShardedParameterStore store(device, communicator, table, {configuration.parallel.zero_stage, type});
  store.initialize(configuration.run.seed);
  const std::vector<std::int32_t> ids =
      random_ids(philox_key(1, "benchmark") + static_cast<std::uint64_t>(communicator.rank()),
                 static_cast<std::size_t>(batch * length) + 1, configuration.model.vocab_size);
  const std::span<const std::int32_t> all(ids);
  const TokenBatch tokens{all.first(all.size() - 1), all.subspan(1), batch, length};
  const std::vector<double> seconds =
      time_steps(model, store, tokens, micro_batches, steps, device, communicator);
  TrainingBenchmark result;
  result.planned_bytes = model.bytes() + store.bytes();
  result.device_bytes = device.peak_allocated_bytes() - allocated_before;
  result.resident_bytes = peak_resident_bytes() - resident_before;
  rates[1] = measure_product_rate(device, type, product_size);
  communicator.all_reduce(rates);
  result.product_rate = (rates[0] + rates[1]) / 2;
  result.tokens_per_step = batch * length * micro_batches * communicator.size();
  result.step_seconds = median(seconds);
  result.tokens_per_second = static_cast<double>(result.tokens_per_step) / result.step_seconds;
  result.operations_per_second =
      result.tokens_per_second * training_operations_per_token(configuration.model, length);
  return result;
}

}  // namespace cola
