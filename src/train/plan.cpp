#include "train/plan.h"

#include <fmt/format.h>

#include "core/arena.h"
#include "core/data_type.h"
#include "core/error.h"
#include "model/cost.h"
#include "model/parameter_table.h"
#include "model/shard_map.h"
#include "model/transformer.h"
#include "train/progress.h"
#include "train/snapshot_ring.h"

namespace cola {

Plan make_plan(const RunConfiguration& configuration, int ranks) {
  if (ranks > configuration.train.global_batch)
    throw UsageError("train.global_batch: {} sequences cannot be dealt out to {} ranks",
                     configuration.train.global_batch, ranks);
  const ParameterTable table(configuration.model);
  const bool sharded = configuration.parallel.zero_stage > 0 && ranks > 1;
  const ShardMap map(table, sharded ? ranks : 1);
  const DataType type =
      configuration.train.precision == Precision::fp32 ? DataType::float32 : DataType::bfloat16;
  const auto padded = static_cast<std::size_t>(map.padded_total()),
             shard = static_cast<std::size_t>(map.shard_elements());
  Arena counting;
  allocate_memory(counting, configuration.model,
                  {configuration.train.micro_batch, configuration.data.sequence_length, type,
                   configuration.train.recompute});
  Plan plan;
  plan.ranks = ranks;
  plan.title = configuration.run.name;
  plan.precision = name_of(type);
  plan.parameters = static_cast<double>(table.logical_elements());
  plan.operations_per_token =
      training_operations_per_token(configuration.model, configuration.data.sequence_length);
  plan.operations_per_step =
      plan.operations_per_token *
      static_cast<double>(configuration.train.global_batch * configuration.data.sequence_length);
  plan.weight_bytes = padded * size_of(type);
  plan.gradient_bytes = padded * sizeof(float);
  plan.optimizer_bytes =
      shard * sizeof(float) * (sharded ? 4 : 3);  // with the reduced gradient where it is sharded
  plan.activation_bytes = counting.used();
  // Ring collectives: each rank sends (N - 1) / N of the data in a reduce-scatter and in an all-gather.
  const double share = static_cast<double>(ranks - 1) / ranks, elements = static_cast<double>(padded);
  plan.sent_bytes_per_step =
      share * elements * (sizeof(float) + (sharded ? static_cast<double>(size_of(type)) : sizeof(float)));
  plan.checkpoint_bytes = 3.0 * sizeof(float) * static_cast<double>(map.shard_elements()) * map.shards();
  plan.ring_bytes = ring_layout(configuration.checkpoint, map.shard_elements()).bytes();
  return plan;
}

std::string describe_plan(const Plan& plan) {
  const auto row = [](const char* name, const std::string& value) {
    return fmt::format("  {:<34}{:>14}\n", name, value);
  };
  const auto memory = [&](const char* name, std::size_t bytes) {
    return row(name, format_bytes(static_cast<double>(bytes)));
  };
  return fmt::format("Plan of {} on {} {}\n", plan.title, plan.ranks, plan.ranks == 1 ? "rank" : "ranks") +
         row("parameters", format_count(plan.parameters)) + row("compute precision", plan.precision) +
         "Device memory a rank\n" + memory("weights in compute precision", plan.weight_bytes) +
         memory("gradients (fp32)", plan.gradient_bytes) +
         memory("master weights, moments (fp32)", plan.optimizer_bytes) +
         memory("activations and workspace", plan.activation_bytes) + memory("total", plan.total_bytes()) +
         "Host memory a rank\n" + memory("snapshots for checkpoints", plan.ring_bytes) + "Work\n" +
         row("FLOP a token", format_count(plan.operations_per_token)) +
         row("FLOP a step", format_count(plan.operations_per_step)) +
         row("sent a rank and step", format_bytes(plan.sent_bytes_per_step)) +
         row("one checkpoint, all ranks", format_bytes(plan.checkpoint_bytes));
}

}  // namespace cola
