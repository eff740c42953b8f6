// The plan as a table for people.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "core/data_type.h"
#include "core/text.h"
#include "train/configuration/run_configuration_fields.h"
#include "train/plan/plan.h"

namespace cola {

namespace {

std::string row(const std::string& name, const std::string& value) {
  return fmt::format("  {:<42}{:>12}\n", name, value);
}

std::string describe_target(const Plan& plan, const RunConfiguration& configuration) {
  const TrainSection& train = configuration.train;
  const char* device = plan.target.device == DeviceKind::cuda ? "cuda" : "cpu";
  std::string text = fmt::format("Plan of {} on {} {}\n", configuration.run.name, plan.target.ranks,
                                 plan.target.ranks == 1 ? "rank" : "ranks");
  text += row("device", device);
  if (train.device == DeviceChoice::automatic)
    text += fmt::format(
        "    train.device is auto, and this machine has {} GPU; train.device=cuda plans for GPUs\n",
        plan.target.device == DeviceKind::cuda ? "a" : "no");
  text += row("compute precision", name_of(plan.target.type));
  if (train.precision == Precision::automatic)
    text += fmt::format("    train.precision is auto, and {} {} faster\n",
                        plan.target.device == DeviceKind::cuda ? "a GPU multiplies" : "this CPU multiplies",
                        name_of(plan.target.type));
  return text + row("parameters", format_count(plan.parameters));
}

}  // namespace

std::string describe_memory(const MemoryPlan& memory, const PlanTarget& target,
                            const RunConfiguration& configuration, const MemoryLimit& limit) {
  const std::string type = name_of(target.type);
  std::string text = "Device memory a rank\n";
  text += row(fmt::format("weights ({})", type), format_bytes(memory.used(MemoryUse::weights)));
  text += row("gradients (fp32)", format_bytes(memory.used(MemoryUse::gradients)));
  text += row("master weights, two moments (fp32)", format_bytes(memory.used(MemoryUse::optimizer)));
  if (const std::size_t reduced = memory.used(MemoryUse::communication); reduced > 0)
    text += row("communication buffers", format_bytes(reduced));
  text += row(fmt::format("activations of {} x {} tokens, {}", configuration.train.micro_batch,
                          configuration.data.sequence_length, type),
              format_bytes(memory.used(MemoryUse::activations)));
  const std::int64_t share = configuration.train.global_batch / target.ranks;
  if (share < configuration.train.micro_batch && configuration.train.global_batch % target.ranks == 0)
    text += fmt::format("    a rank's share of train.global_batch is {}: train.micro_batch={} is enough\n",
                        share, share);
  text += row("workspace", format_bytes(memory.used(MemoryUse::workspace)));
  text += row("peak", format_bytes(memory.peak_bytes()));
  if (limit.bytes > 0)
    text +=
        row(fmt::format("{} {}", memory.peak_bytes() <= limit.bytes ? "fits" : "DOES NOT FIT", limit.name),
            format_bytes(limit.bytes));
  text += "Host memory a rank\n";
  if (memory.collective_staging > 0)
    text += row("pinned, for collectives over MPI", format_bytes(memory.collective_staging));
  return text + row("snapshots for checkpoints", format_bytes(memory.snapshot_ring));
}

namespace {

std::string columns(const std::string& name, const std::string& first, const std::string& second) {
  const std::string last = second.empty() ? "" : fmt::format("{:>16}", second);
  return fmt::format("{:<24}{:>16}{}\n", name, first, last);
}

std::string describe_policies(const Plan& plan, const RunConfiguration& configuration) {
  const bool limited = plan.limit_bytes > 0;
  std::string text = columns("train.recompute", "peak", limited ? "micro-batch <=" : "");
  for (const PolicyPlan& policy : plan.policies) {
    const std::string largest =
        policy.largest_micro_batch > 0 ? std::to_string(policy.largest_micro_batch) : "none fits";
    text += columns(fmt::format("  {}{}", word_of(policy.recompute),
                                policy.recompute == configuration.train.recompute ? " (this plan)" : ""),
                    format_bytes(policy.peak_bytes), limited ? largest : "");
  }
  return text;
}

std::string describe_stages(const Plan& plan, const RunConfiguration& configuration) {
  if (plan.stages.empty()) return {};
  std::string text = columns("parallel.zero_stage", "peak", "sent a step");
  for (const StagePlan& stage : plan.stages)
    text += columns(fmt::format("  {}{}", stage.zero_stage,
                                stage.zero_stage == configuration.parallel.zero_stage ? " (this plan)" : ""),
                    format_bytes(stage.peak_bytes), format_bytes(stage.sent_bytes_per_step));
  return text;
}

std::string describe_work(const Plan& plan) {
  const double share = 100 * plan.recomputed_operations_per_token / plan.operations_per_token;
  return "Work\n" + row("FLOP a token", format_count(plan.operations_per_token)) +
         row("recomputed besides", fmt::format("{:.1f} %", share)) +
         row("FLOP a step, all ranks", format_count(plan.operations_per_step)) +
         row("sent a rank and step", format_bytes(plan.sent_bytes_per_step)) +
         row("one checkpoint, all ranks", format_bytes(plan.checkpoint_bytes)) +
         row(fmt::format("checkpoints on disk, at most {}", plan.checkpoints),
             format_bytes(plan.checkpoint_bytes * static_cast<double>(plan.checkpoints)));
}

}  // namespace

std::string describe_plan(const Plan& plan, const RunConfiguration& configuration) {
  const MemoryLimit limit{plan.limit_bytes, "train.device_memory_gib"};
  return describe_target(plan, configuration) +
         describe_memory(plan.memory, plan.target, configuration, limit) +
         describe_policies(plan, configuration) + describe_stages(plan, configuration) + describe_work(plan);
}

}  // namespace cola
