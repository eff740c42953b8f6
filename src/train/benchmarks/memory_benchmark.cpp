#include "train/benchmarks/memory_benchmark.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "model/cost.h"
#include "train/configuration/precision.h"

namespace cola {

namespace {

using Json = nlohmann::ordered_json;

// Seconds that the steps and three more to warm up take, at an ordinary share of the plain product's rate.
double expected_seconds(const RunConfiguration& configuration, std::int64_t steps, double product_rate) {
  constexpr double ordinary_share = 0.4;
  const std::int64_t length = configuration.data.sequence_length;
  const double operations =
      training_operations_per_token(configuration.model, length) +
      recomputed_operations_per_token(configuration.model, configuration.train.recompute, length);
  return operations * static_cast<double>(configuration.train.micro_batch * length * (steps + 3)) /
         (ordinary_share * product_rate);
}

Json uses_of(const MemoryPlan& plan) {
  constexpr std::array<const char*, memory_uses> names{"weights",       "gradients",   "optimizer",
                                                       "communication", "activations", "workspace"};
  Json uses;
  for (std::size_t use = 0; use < memory_uses; ++use)
    uses[names[use]] = plan.used(static_cast<MemoryUse>(use));
  return uses;
}

}  // namespace

const std::vector<TrainingMethod>& compared_methods() {
  static const std::vector<TrainingMethod> methods{
      {"full-rank", ProjectionKind::full, Recompute::none},
      {"full-rank + block", ProjectionKind::full, Recompute::block},
      {"CoLA", ProjectionKind::cola, Recompute::none},
      {"CoLA-M", ProjectionKind::cola, Recompute::cola_m},
  };
  return methods;
}

MemoryRow benchmark_memory(RunConfiguration configuration, const TrainingMethod& method, Device& device,
                           Communicator& communicator, std::int64_t steps, const MeasuringLimits& limits) {
  configuration.model.projection = method.projection;
  configuration.train.recompute = method.recompute;
  const DataType type = compute_type_of(configuration.train.precision, device);
  MemoryRow row;
  row.size = configuration.run.name;
  row.method = method.name;
  row.micro_batch = configuration.train.micro_batch;
  row.plan = plan_memory(configuration, {communicator.size(), device.kind(), type});
  if (row.plan.peak_bytes() > limits.bytes)
    row.why_planned = "does not fit";
  else if (expected_seconds(configuration, steps, limits.product_rate) > limits.seconds)
    row.why_planned = "too slow";
  else
    row.measured = benchmark_training(configuration, device, communicator, steps, 1);
  return row;
}

std::string to_json(const std::vector<MemoryRow>& rows) {
  Json list = Json::array();
  for (const MemoryRow& row : rows) {
    Json entry{{"size", row.size},
               {"method", row.method},
               {"micro_batch", row.micro_batch},
               {"planned_bytes", row.plan.peak_bytes()},
               {"uses", uses_of(row.plan)}};
    if (row.measured) {
      entry["measured_bytes"] = row.measured->device_bytes + row.plan.kernel_workspace;
      entry["tokens_per_second"] = row.measured->tokens_per_second;
    }
    list.push_back(entry);
  }
  return list.dump(1) + "\n";
}

}  // namespace cola
