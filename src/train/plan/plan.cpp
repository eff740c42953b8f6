#include "train/plan/plan.h"

#include <algorithm>

#include "core/divide_up.h"
#include "core/error.h"
#include "dist/store_memory.h"
#include "io/checkpoints/shard_writer.h"
#include "model/cost.h"
#include "model/parameter_table.h"
#include "model/shard_map.h"
#include "train/batch_loader.h"
#include "train/configuration/precision.h"

namespace cola {

namespace {

// Elements that stage 3 gathers in a step: every unit for the first forward pass, and every block but the
// last for each backward pass, which finds that one still there; a later forward pass finds the first block.
double gathered_elements(const ShardMap& map, std::int64_t micro_batches) {
  const int head = map.units() - 1;
  const auto blocks_but_last = static_cast<double>(map.padded_offset(head - 1) - map.padded_offset(1));
  const auto all = static_cast<double>(map.padded_total()), passes = static_cast<double>(micro_batches);
  return passes * (all + blocks_but_last) - (passes - 1) * static_cast<double>(map.padded_elements(1));
}

// In rings, a rank sends (N - 1) / N of the data of a reduce-scatter or an all-gather; an all-reduce is both.
double sent_bytes(const ShardMap& map, const PlanTarget& target, const RunConfiguration& configuration) {
  const std::int64_t micro_batches =
      micro_batches_of(configuration.train.global_batch, configuration.train.micro_batch, target.ranks);
  const int stage = map.shards() > 1 ? configuration.parallel.zero_stage : 0;
  const auto elements = static_cast<double>(map.padded_total()), fp32 = 4.0;
  const auto compute = static_cast<double>(size_of(target.type));
  const double reduced = fp32 * elements * static_cast<double>(stage >= 2 ? micro_batches : 1);
  const double gathered = stage == 0   ? fp32 * elements
                          : stage == 3 ? compute * gathered_elements(map, micro_batches)
                                       : compute * elements;
  return static_cast<double>(target.ranks - 1) / target.ranks * (reduced + gathered);
}

std::vector<PolicyPlan> plan_policies(RunConfiguration configuration, const PlanTarget& target,
                                      std::size_t limit) {
  std::vector<PolicyPlan> policies;
  for (const Recompute policy : usable_policies(configuration.model)) {
    configuration.train.recompute = policy;
    policies.push_back({policy, plan_memory(configuration, target).peak_bytes(),
                        limit > 0 ? largest_micro_batch(configuration, target, limit) : 0});
  }
  return policies;
}

std::vector<StagePlan> plan_stages(RunConfiguration configuration, const PlanTarget& target) {
  std::vector<StagePlan> stages;
  if (target.ranks == 1) return stages;
  const ParameterTable table(configuration.model);
  for (const int stage : {0, 1, 2, 3}) {
    configuration.parallel.zero_stage = stage;
    stages.push_back({stage, plan_memory(configuration, target).peak_bytes(),
                      sent_bytes(shard_map_of(table, stage, target.ranks), target, configuration)});
  }
  return stages;
}

}  // namespace

PlanTarget plan_target(const RunConfiguration& configuration, int ranks) {
  PlanTarget target{.ranks = ranks};
  const DeviceChoice choice = configuration.train.device;
  if (choice == DeviceChoice::cuda || (choice == DeviceChoice::automatic && cuda_device_count() > 0))
    target.device = DeviceKind::cuda;
  target.type = compute_type_of(configuration.train.precision,
                                target.device == DeviceKind::cuda || make_cpu_device()->prefers_bfloat16());
  return target;
}

std::int64_t most_checkpoints(const CheckpointSection& checkpoint, std::int64_t total_steps) {
  if (checkpoint.every == 0) return 1;
  const std::int64_t saved = divide_up(total_steps, checkpoint.every);
  const std::int64_t newest = std::min(saved, checkpoint.keep + 1);
  const std::int64_t last_older_step = checkpoint.every * (saved - newest);
  return newest + (checkpoint.keep_every > 0 ? last_older_step / checkpoint.keep_every : 0);
}

Plan make_plan(const RunConfiguration& configuration, const PlanTarget& target) {
  if (target.ranks > configuration.train.global_batch)
    throw UsageError("train.global_batch: {} sequences cannot be dealt out to {} ranks",
                     configuration.train.global_batch, target.ranks);
  const ModelConfiguration& model = configuration.model;
  const ParameterTable table(model);
  const ShardMap map = shard_map_of(table, configuration.parallel.zero_stage, target.ranks);
  const std::int64_t length = configuration.data.sequence_length;
  Plan plan;
  plan.target = target;
  plan.memory = plan_memory(configuration, target);
  plan.limit_bytes = memory_limit(configuration, {}).bytes;
  plan.policies = plan_policies(configuration, target, plan.limit_bytes);
  plan.stages = plan_stages(configuration, target);
  plan.parameters = static_cast<double>(table.logical_elements());
  plan.operations_per_token = training_operations_per_token(model, length);
  plan.recomputed_operations_per_token =
      recomputed_operations_per_token(model, configuration.train.recompute, length);
  plan.operations_per_step = (plan.operations_per_token + plan.recomputed_operations_per_token) *
                             static_cast<double>(configuration.train.global_batch * length);
  plan.sent_bytes_per_step = sent_bytes(map, target, configuration);
  plan.checkpoint_bytes = static_cast<double>(checkpoint_bytes(map));
  plan.checkpoints = most_checkpoints(configuration.checkpoint, configuration.schedule.total_steps);
  return plan;
}

}  // namespace cola
