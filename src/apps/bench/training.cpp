#include "apps/bench/training.h"

#include <string>

#include "core/log.h"
#include "core/text.h"
#include "train/benchmarks/training_benchmark.h"

namespace cola {

namespace {

void print_heading() {
  information("{:<10} {:>10} {:>12} {:>14} {:>12} {:>12} {:>11} {:>11} {:>11} {:>11}", "model", "tokens",
              "seconds a", "tokens/s", "FLOP/s", "product's", "share of", "memory", "memory", "resident");
  information("{:<10} {:>10} {:>12} {:>14} {:>12} {:>12} {:>11} {:>11} {:>11} {:>11}", "", "a step", "step",
              "", "useful", "FLOP/s", "product", "planned", "used", "growth");
}

void print_row(const std::string& name, const TrainingBenchmark& result) {
  information("{:<10} {:>10} {:>12.3f} {:>14.0f} {:>12} {:>12} {:>9.1f} % {:>11} {:>11} {:>11}", name,
              result.tokens_per_step, result.step_seconds, result.tokens_per_second,
              format_count(result.operations_per_second), format_count(result.product_rate),
              100 * result.utilization(), format_bytes(result.planned_bytes),
              format_bytes(result.device_bytes), format_bytes(result.resident_bytes));
}

}  // namespace

void bench_training(const RunConfiguration& configuration, const std::optional<RunConfiguration>& twin,
                    Device& device, Communicator& communicator, std::int64_t steps,
                    std::int64_t micro_batches) {
  const auto measure = [&](const RunConfiguration& measured) {
    const TrainingBenchmark result = benchmark_training(measured, device, communicator, steps, micro_batches);
    print_row(measured.model.projection == ProjectionKind::cola ? "CoLA" : "full-rank", result);
    return result;
  };
  print_heading();
  const TrainingBenchmark result = measure(configuration);
  if (!twin) return;
  const TrainingBenchmark full = measure(*twin);
  information("CoLA trains {:.2f} times the tokens a second of full-rank",
              result.tokens_per_second / full.tokens_per_second);
}

}  // namespace cola
