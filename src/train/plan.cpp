#include "train/plan.h"

#include "core/error.h"
#include "model/cost.h"
#include "model/parameter_table.h"
#include "model/shard_map.h"

namespace cola {

namespace {

// A rank's share of a ring: it sends (N - 1) / N of the data in a reduce-scatter and in an all-gather; an
// all-reduce is both, in fp32.
double sent_bytes(const ShardMap& map, const PlanTarget& target) {
  const double share = static_cast<double>(target.ranks - 1) / target.ranks;
  const auto gathered = map.shards() > 1 ? size_of(target.type) : sizeof(float);
  return share * static_cast<double>(map.padded_total()) * static_cast<double>(sizeof(float) + gathered);
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

}  // namespace

PlanTarget plan_target(const RunConfiguration& configuration, int ranks) {
  PlanTarget target{.ranks = ranks};
  const DeviceChoice choice = configuration.train.device;
  if (choice == DeviceChoice::cuda || (choice == DeviceChoice::automatic && cuda_device_count() > 0))
    target.device = DeviceKind::cuda;
  const Precision precision = configuration.train.precision;
  const bool bfloat16 = precision == Precision::automatic
                            ? target.device == DeviceKind::cuda || make_cpu_device()->prefers_bfloat16()
                            : precision == Precision::bf16;
  target.type = bfloat16 ? DataType::bfloat16 : DataType::float32;
  return target;
}

Plan make_plan(const RunConfiguration& configuration, const PlanTarget& target) {
  if (target.ranks > configuration.train.global_batch)
    throw UsageError("train.global_batch: {} sequences cannot be dealt out to {} ranks",
                     configuration.train.global_batch, target.ranks);
  const ModelConfiguration& model = configuration.model;
  const ParameterTable table(model);
  const ShardMap map(table, configuration.parallel.zero_stage > 0 ? target.ranks : 1);
  const std::int64_t length = configuration.data.sequence_length;
  Plan plan;
  plan.target = target;
  plan.memory = plan_memory(configuration, target);
  plan.limit_bytes = memory_limit(configuration, 0);
  plan.policies = plan_policies(configuration, target, plan.limit_bytes);
  plan.parameters = static_cast<double>(table.logical_elements());
  plan.operations_per_token = training_operations_per_token(model, length);
  plan.recomputed_operations_per_token =
      recomputed_operations_per_token(model, configuration.train.recompute, length);
  plan.operations_per_step = (plan.operations_per_token + plan.recomputed_operations_per_token) *
                             static_cast<double>(configuration.train.global_batch * length);
  plan.sent_bytes_per_step = sent_bytes(map, target);
  plan.checkpoint_bytes = 3.0 * sizeof(float) * static_cast<double>(map.padded_total());
  return plan;
}

}  // namespace cola
