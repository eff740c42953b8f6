#include "train/plan/memory_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "core/error.h"
#include "core/text.h"
#include "dist/staged_communicator.h"
#include "dist/store_memory.h"
#include "model/parameter_table.h"
#include "model/shard_map.h"
#include "model/transformer.h"
#include "train/checkpoints/snapshot_ring.h"
#include "train/configuration/run_configuration_fields.h"
#include "train/configuration/transformer_options.h"

namespace cola {

namespace {

// Policies that keep less: those with which it fits, or else the first that leaves room for a smaller
// micro-batch.
std::vector<std::string> policy_remedies(RunConfiguration configuration, const PlanTarget& target,
                                         std::size_t limit) {
  std::vector<std::string> remedies, smaller;
  const Recompute chosen = configuration.train.recompute;
  for (const Recompute policy : usable_policies(configuration.model)) {
    if (policy <= chosen) continue;
    configuration.train.recompute = policy;
    const std::size_t needed = plan_memory(configuration, target).peak_bytes();
    const std::int64_t largest = largest_micro_batch(configuration, target, limit);
    if (needed <= limit)
      remedies.push_back(
          fmt::format("with train.recompute {} it takes {}", word_of(policy), format_bytes(needed)));
    else if (largest > 0 && smaller.empty())
      smaller.push_back(fmt::format("with train.recompute {} the largest micro-batch that fits is {}",
                                    word_of(policy), largest));
  }
  return remedies.empty() ? smaller : remedies;
}

// The first ZeRO stage that splits enough over the ranks.
std::string stage_remedy(RunConfiguration configuration, const PlanTarget& target, std::size_t limit) {
  int& stage = configuration.parallel.zero_stage;
  while (target.ranks > 1 && ++stage <= 3)
    if (const std::size_t needed = plan_memory(configuration, target).peak_bytes(); needed <= limit)
      return fmt::format("with parallel.zero_stage {} it takes {}", stage, format_bytes(needed));
  return "not even one sequence fits; use more ranks with parallel.zero_stage 3, or devices with more memory";
}

// What would make the run fit.
std::string describe_remedy(const RunConfiguration& configuration, const PlanTarget& target,
                            std::size_t limit) {
  std::vector<std::string> remedies = policy_remedies(configuration, target, limit);
  if (const std::int64_t largest = largest_micro_batch(configuration, target, limit); largest > 0)
    remedies.insert(remedies.begin(), fmt::format("the largest micro-batch that fits is {}", largest));
  if (remedies.empty()) return stage_remedy(configuration, target, limit);
  return fmt::format("{}", fmt::join(remedies, "; "));
}

}  // namespace

std::size_t MemoryPlan::used(MemoryUse use) const {
  return store.used(use) + model.used(use) + (use == MemoryUse::workspace ? kernel_workspace : 0);
}

MemoryPlan plan_memory(const RunConfiguration& configuration, const PlanTarget& target) {
  const ParameterTable table(configuration.model);
  const int stage = configuration.parallel.zero_stage;
  const ShardMap map = shard_map_of(table, stage, target.ranks);
  MemoryPlan plan;
  allocate_store(plan.store, map, {stage, target.type});
  allocate_memory(plan.model, configuration.model,
                  transformer_options(configuration, target.type, target.device));
  plan.kernel_workspace = workspace_bytes_of(target.device);
  if (target.device == DeviceKind::cuda && target.ranks > 1 &&
      configuration.parallel.collectives == Collectives::mpi)
    plan.collective_staging = 2 * staging_slot_bytes;
  plan.snapshot_ring = ring_layout(configuration.checkpoint, map.shard_elements()).bytes();
  return plan;
}

std::int64_t largest_micro_batch(const RunConfiguration& configuration, const PlanTarget& target,
                                 std::size_t bytes) {
  const std::int64_t all = configuration.train.global_batch;
  RunConfiguration tried = configuration;
  for (std::int64_t parts = target.ranks; parts <= all; ++parts) {
    if (all % parts != 0) continue;
    tried.train.micro_batch = all / parts;
    if (plan_memory(tried, target).peak_bytes() <= bytes) return tried.train.micro_batch;
  }
  return 0;
}

std::vector<Recompute> usable_policies(const ModelConfiguration& model) {
  if (model.projection == ProjectionKind::full) return {Recompute::none, Recompute::block};
  return {Recompute::none, Recompute::cola_m, Recompute::block};
}

MemoryLimit memory_limit(const RunConfiguration& configuration, const MemoryLimit& of_device) {
  const double stated = configuration.train.device_memory_gib;
  if (stated > 0) return {static_cast<std::size_t>(stated * 0x1p30), "train.device_memory_gib"};
  return of_device;
}

void require_memory(const RunConfiguration& configuration, const PlanTarget& target,
                    const MemoryLimit& limit) {
  const std::size_t needed = plan_memory(configuration, target).peak_bytes();
  if (limit.bytes == 0 || needed <= limit.bytes) return;
  throw UsageError("train.micro_batch: {} sequences of {} take {} a rank, more than {} ({}): {}",
                   configuration.train.micro_batch, configuration.data.sequence_length, format_bytes(needed),
                   limit.name, format_bytes(limit.bytes),
                   describe_remedy(configuration, target, limit.bytes));
}

}  // namespace cola
