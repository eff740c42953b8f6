// The plan against devices that are really allocated from, and what it says about limits.
#include "train/plan/memory_plan.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/error.h"
#include "dist/sharded_parameter_store.h"
#include "dist/staged_communicator.h"
#include "model/transformer.h"
#include "support/paper_sizes.h"
#include "train/configuration/transformer_options.h"

namespace cola {
namespace {

/// Odd sizes, so that tensors and chunks are padded.
RunConfiguration small_run(ProjectionKind projection) {
  RunConfiguration configuration;
  configuration.model.vocab_size = 517;
  configuration.model.hidden_size = 104;
  configuration.model.intermediate_size = 277;
  configuration.model.num_hidden_layers = 3;
  configuration.model.num_attention_heads = configuration.model.num_key_value_heads = 1;
  configuration.model.rank = 26;
  configuration.model.projection = projection;
  configuration.data.sequence_length = 32;
  configuration.train.global_batch = 12;
  configuration.train.micro_batch = 6;
  return configuration;
}

RunConfiguration paper_run(const std::string& name, ProjectionKind projection) {
  RunConfiguration configuration;
  for (const auto& [size, model] : paper_sizes(projection))
    if (size == name) configuration.model = model;
  return configuration;
}

std::string refusal(const RunConfiguration& configuration, const PlanTarget& target, std::size_t bytes = 0) {
  try {
    require_memory(configuration, target, memory_limit(configuration, {bytes, "the device's memory"}));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

constexpr PlanTarget one_gpu{.ranks = 1, .device = DeviceKind::cuda, .type = DataType::bfloat16};
constexpr PlanTarget one_rank{.ranks = 1, .device = DeviceKind::cpu, .type = DataType::bfloat16};
constexpr std::size_t gibibyte = std::size_t{1} << 30;

struct Case {
  ProjectionKind projection;
  Recompute recompute;
  int zero_stage, ranks;
  DataType type;
};

class PlannedPeak : public ::testing::TestWithParam<DeviceKind> {};

// Two optimizer steps on real ranks; NCCL apart, ranks are threads, each with a device of its own.
void check_planned_peak(const Case& tried, DeviceKind kind) {
  RunConfiguration configuration = small_run(tried.projection);
  configuration.train.recompute = tried.recompute;
  configuration.parallel.zero_stage = tried.zero_stage;
  configuration.train.precision = tried.type == DataType::bfloat16 ? Precision::bf16 : Precision::fp32;
  const auto planned =
      static_cast<double>(plan_memory(configuration, {tried.ranks, kind, tried.type}).peak_bytes());
  run_on_threads(tried.ranks, [&](Communicator& communicator) {
    const auto device = kind == DeviceKind::cpu ? make_cpu_device(1) : make_cuda_device(0);
    const ParameterTable table(configuration.model);
    const TrainSection& train = configuration.train;
    Transformer model(*device, table, transformer_options(configuration, tried.type, kind));
    const auto staged = kind == DeviceKind::cuda ? make_staged_communicator(*device, communicator) : nullptr;
    ShardedParameterStore store(*device, staged ? *staged : communicator, table,
                                {tried.zero_stage, tried.type});
    store.initialize(1);
    const auto rows = static_cast<std::size_t>(train.micro_batch * configuration.data.sequence_length);
    const std::vector<std::int32_t> ids(rows, 5);
    for (std::int64_t step = 1; step <= 2; ++step) {
      store.zero_gradients();
      store.begin_last_micro_batch();
      model.forward_backward(store, {ids, ids, train.micro_batch, configuration.data.sequence_length});
      store.gradient_norm();
      store.update({.learning_rate = 1e-3f, .step = step});
    }
    EXPECT_NEAR(static_cast<double>(device->peak_allocated_bytes()) / planned, 1.0, 0.02);
  });
}

TEST_P(PlannedPeak, IsWhatDevicesGiveOut) {
  if (GetParam() == DeviceKind::cuda && cuda_device_count() == 0) GTEST_SKIP() << "no GPU on this machine";
  for (const ProjectionKind projection : {ProjectionKind::full, ProjectionKind::cola})
    for (const Recompute recompute : usable_policies(small_run(projection).model))
      for (const int stage : {0, 1, 2, 3})
        for (const int ranks : {1, 3})
          for (const DataType type : {DataType::float32, DataType::bfloat16}) {
            SCOPED_TRACE("recompute " + std::to_string(static_cast<int>(recompute)) + ", stage " +
                         std::to_string(stage) + ", " + std::to_string(ranks) + " ranks, " + name_of(type));
            check_planned_peak({projection, recompute, stage, ranks, type}, GetParam());
          }
}

INSTANTIATE_TEST_SUITE_P(Devices, PlannedPeak, ::testing::Values(DeviceKind::cpu, DeviceKind::cuda),
                         [](const auto& information) {
                           return information.param == DeviceKind::cpu ? "cpu" : "cuda";
                         });

TEST(MemoryPlan, AddsUpToItsUses) {
  const MemoryPlan plan = plan_memory(paper_run("60m", ProjectionKind::cola), one_gpu);
  std::size_t sum = 0;
  for (std::size_t use = 0; use < memory_uses; ++use) sum += plan.used(static_cast<MemoryUse>(use));
  EXPECT_EQ(sum, plan.peak_bytes());
  EXPECT_EQ(plan.kernel_workspace, workspace_bytes_of(DeviceKind::cuda));
  const auto parameters = static_cast<std::size_t>(
      ParameterTable(paper_run("60m", ProjectionKind::cola).model).stored_elements());
  EXPECT_EQ(plan.used(MemoryUse::optimizer), 12 * parameters);
  EXPECT_GE(plan.snapshot_ring, 12 * parameters);
  EXPECT_EQ(plan.used(MemoryUse::communication), 0u);
}

TEST(MemoryPlan, OptimizerAndCheckpointCopyAreShared) {
  const RunConfiguration configuration = paper_run("1b", ProjectionKind::cola);
  PlanTarget target = one_gpu;
  const MemoryPlan alone = plan_memory(configuration, target);
  target.ranks = 16;
  const MemoryPlan shared = plan_memory(configuration, target);
  EXPECT_NEAR(static_cast<double>(alone.used(MemoryUse::optimizer)) /
                  static_cast<double>(shared.used(MemoryUse::optimizer)),
              16, 0.01);
  EXPECT_LT(shared.snapshot_ring, alone.snapshot_ring / 15);
  EXPECT_EQ(shared.used(MemoryUse::communication) * 3, shared.used(MemoryUse::optimizer));
  EXPECT_EQ(shared.used(MemoryUse::activations), alone.used(MemoryUse::activations));
}

TEST(MemoryPlan, TheLargestMicroBatchFitsAndTheNextDoesNot) {
  RunConfiguration configuration = paper_run("1b", ProjectionKind::cola);
  for (const Recompute policy : usable_policies(configuration.model)) {
    configuration.train.recompute = policy;
    const std::int64_t largest = largest_micro_batch(configuration, one_gpu, 40 * gibibyte);
    ASSERT_GT(largest, 0);
    configuration.train.micro_batch = largest;
    EXPECT_LE(plan_memory(configuration, one_gpu).peak_bytes(), 40 * gibibyte);
    configuration.train.micro_batch = 2 * largest;  // the next divisor of 512
    EXPECT_GT(plan_memory(configuration, one_gpu).peak_bytes(), 40 * gibibyte);
  }
  EXPECT_EQ(largest_micro_batch(configuration, one_gpu, gibibyte), 0);
}

TEST(MemoryPlan, TheLargestMicroBatchIsARanksShareAtMost) {
  RunConfiguration configuration = small_run(ProjectionKind::cola);
  EXPECT_EQ(largest_micro_batch(configuration, {.ranks = 1}, gibibyte), 12);
  EXPECT_EQ(largest_micro_batch(configuration, {.ranks = 5}, gibibyte), 2);
  EXPECT_EQ(largest_micro_batch(configuration, {.ranks = 12}, gibibyte), 1);
}

TEST(MemoryPlan, RefusesWhatDoesNotFitAndSaysWhatDoes) {
  RunConfiguration configuration = paper_run("1b", ProjectionKind::cola);
  EXPECT_EQ(refusal(configuration, one_rank), "no error");  // no limit is known
  EXPECT_EQ(refusal(configuration, one_rank, 80 * gibibyte), "no error");
  configuration.train.device_memory_gib = 16;
  const std::string stated = refusal(configuration, one_rank, 80 * gibibyte);
  EXPECT_TRUE(stated.starts_with("train.micro_batch: 32 sequences of 256 take 25.")) << stated;
  EXPECT_NE(stated.find("train.device_memory_gib (16.0 GiB)"), std::string::npos) << stated;
  EXPECT_NE(stated.find("the largest micro-batch that fits is 8"), std::string::npos) << stated;
  EXPECT_NE(stated.find("with train.recompute cola_m it takes 14."), std::string::npos) << stated;
  configuration.train.device_memory_gib = 0;
  EXPECT_NE(refusal(configuration, one_rank, 16 * gibibyte).find("the device's memory (16.0 GiB)"),
            std::string::npos);
}

// 7b on GPUs of 40 GiB: sums of gradients and weights alone are 16 GiB where they are not split.
TEST(MemoryPlan, NamesAZeroStageWhereStateIsTooLarge) {
  RunConfiguration configuration = paper_run("7b", ProjectionKind::full);
  configuration.train.micro_batch = 8;
  configuration.train.recompute = Recompute::block;
  PlanTarget target = one_gpu;
  target.ranks = 64;
  const std::string split = refusal(configuration, target, 32 * gibibyte);
  EXPECT_NE(split.find("with parallel.zero_stage 2 it takes "), std::string::npos) << split;
  const std::string all = refusal(configuration, target, 10 * gibibyte);
  EXPECT_NE(all.find("with parallel.zero_stage 3 it takes "), std::string::npos) << all;
}

TEST(MemoryPlan, NamesAPolicyOrMoreRanksWhereNoMicroBatchFits) {
  RunConfiguration configuration = paper_run("60m", ProjectionKind::cola);
  configuration.train.global_batch = 32;
  configuration.data.sequence_length = 4096;
  configuration.model.max_position_embeddings = 4096;
  const std::size_t smallest = [&] {
    RunConfiguration one = configuration;
    one.train.micro_batch = 1;
    one.train.recompute = Recompute::cola_m;
    return plan_memory(one, one_gpu).peak_bytes();
  }();
  const std::string policy = refusal(configuration, one_gpu, smallest);
  EXPECT_NE(policy.find("with train.recompute cola_m the largest micro-batch that fits is 1"),
            std::string::npos)
      << policy;
  const std::string none = refusal(configuration, one_gpu, smallest / 4);
  EXPECT_NE(none.find("not even one sequence fits"), std::string::npos) << none;
  EXPECT_NE(none.find("more ranks"), std::string::npos) << none;
}

}  // namespace
}  // namespace cola
