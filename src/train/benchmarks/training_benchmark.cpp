#include "train/benchmarks/training_benchmark.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "core/host_memory.h"
#include "model/cost.h"
#include "train/benchmarks/benchmark_model.h"
#include "train/benchmarks/median.h"
#include "train/configuration/precision.h"
#include "train/peak_rate.h"

namespace cola {

namespace {

// Seconds of each of `steps` steps, the slowest rank's; warm-up steps come first and are not counted.
std::vector<double> time_steps(BenchmarkModel& model, std::int64_t micro_batches, std::int64_t steps,
                               Device& device, Communicator& communicator) {
  constexpr std::int64_t warm_up = 3;
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  for (std::int64_t number = 1; number <= steps + warm_up; ++number) {
    communicator.barrier();
    const auto start = Clock::now();
    model.step(micro_batches);
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
  const std::int64_t product_size = telling_product_size(device.kind());
  std::array<double, 2> rates{measure_product_rate(device, type, product_size), 0};
  TrainingBenchmark result;
  {
    device.reset_peak_allocated_bytes();
    reset_peak_resident_bytes();
    const std::size_t resident_before = peak_resident_bytes(),
                      allocated_before = device.peak_allocated_bytes();
    BenchmarkModel model(configuration, device, communicator);
    const std::vector<double> seconds = time_steps(model, micro_batches, steps, device, communicator);
    result.planned_bytes = model.bytes();
    result.device_bytes = device.peak_allocated_bytes() - allocated_before;
    result.resident_bytes = peak_resident_bytes() - resident_before;
    result.step_seconds = median(seconds);
  }
  rates[1] = measure_product_rate(device, type, product_size);
  communicator.all_reduce(rates);
  const std::int64_t length = configuration.data.sequence_length;
  result.product_rate = (rates[0] + rates[1]) / 2;
  result.tokens_per_step = configuration.train.micro_batch * length * micro_batches * communicator.size();
  result.tokens_per_second = static_cast<double>(result.tokens_per_step) / result.step_seconds;
  result.operations_per_second =
      result.tokens_per_second * training_operations_per_token(configuration.model, length);
  return result;
}

}  // namespace cola
