// What a plan says of targets and traffic.
#include "train/plan/plan.h"

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "dist/sharded_parameter_store.h"
#include "support/counting_communicator.h"
#include "support/paper_sizes.h"

namespace cola {
namespace {

RunConfiguration run_of(const std::string& name) {
  RunConfiguration configuration;
  configuration.run.name = name;
  for (const auto& [size, model] : paper_sizes(ProjectionKind::cola))
    if (size == name) configuration.model = model;
  return configuration;
}

TEST(Plan, ResolvesPrecisionByDevice) {
  RunConfiguration configuration = run_of("60m");
  configuration.train.device = DeviceChoice::cuda;  // a machine that plans need not have one
  EXPECT_EQ(plan_target(configuration, 4).device, DeviceKind::cuda);
  EXPECT_EQ(plan_target(configuration, 4).type, DataType::bfloat16);
  configuration.train.precision = Precision::fp32;
  EXPECT_EQ(plan_target(configuration, 4).type, DataType::float32);
  configuration.train.device = DeviceChoice::cpu;
  configuration.train.precision = Precision::automatic;
  const DataType preferred = make_cpu_device()->prefers_bfloat16() ? DataType::bfloat16 : DataType::float32;
  EXPECT_EQ(plan_target(configuration, 4).type, preferred);
}

TEST(Plan, SaysWhatAutoBecame) {
  RunConfiguration configuration = run_of("60m");
  configuration.train.device = DeviceChoice::cuda;
  const auto text = [&] {
    return describe_plan(make_plan(configuration, plan_target(configuration, 4)), configuration);
  };
  EXPECT_NE(text().find("train.precision is auto"), std::string::npos) << text();
  EXPECT_EQ(text().find("train.device is auto"), std::string::npos) << text();
  configuration.train.device_memory_gib = 1;
  EXPECT_NE(text().find("DOES NOT FIT"), std::string::npos) << text();
  configuration.train.device_memory_gib = 80;
  EXPECT_EQ(text().find("DOES NOT FIT"), std::string::npos) << text();
}

// A run's start report is made of the same rows.
TEST(Plan, TellsTheMemoryByUse) {
  RunConfiguration configuration = run_of("60m");
  configuration.train.micro_batch = 8;
  const auto told = [&](int ranks, const MemoryLimit& limit) {
    const PlanTarget target{ranks, DeviceKind::cpu, DataType::bfloat16};
    return describe_memory(plan_memory(configuration, target), target, configuration, limit);
  };
  EXPECT_EQ(told(1, {}),
            "Device memory a rank\n"
            "  weights (bf16)                                81.6 MiB\n"
            "  gradients (fp32)                               163 MiB\n"
            "  master weights, two moments (fp32)             489 MiB\n"
            "  activations of 8 x 256 tokens, bf16            314 MiB\n"
            "  workspace                                     51.3 MiB\n"
            "  peak                                          1.07 GiB\n"
            "Host memory a rank\n"
            "  snapshots for checkpoints                      490 MiB\n");
  const std::string limited = told(4, {std::size_t{24} << 30, "the device's memory"});
  EXPECT_NE(limited.find("  peak                                           773 MiB\n"
                         "  fits the device's memory                      24.0 GiB\n"),
            std::string::npos)
      << limited;
  EXPECT_NE(limited.find("  communication buffers                         40.8 MiB\n"), std::string::npos)
      << limited;
}

TEST(Plan, RefusesMoreRanksThanSequences) {
  const RunConfiguration configuration = run_of("60m");
  EXPECT_THROW(make_plan(configuration, plan_target(configuration, 513)), UsageError);
}

TEST(Plan, CheckpointsHoldThreeFp32CopiesOfAllParameters) {
  const RunConfiguration configuration = run_of("7b");
  const Plan plan = make_plan(configuration, plan_target(configuration, 64));
  EXPECT_GT(plan.checkpoint_bytes, 12 * plan.parameters);  // each file says what is in it
  EXPECT_NEAR(plan.checkpoint_bytes / (12 * plan.parameters), 1.0, 1e-3);
  EXPECT_NEAR(plan.parameters / 2821e6, 1.0, 1e-3);
}

TEST(Plan, CountsTheCheckpointsThatLieOnTheDisk) {
  RunConfiguration configuration = run_of("60m");
  const auto most = [&](std::int64_t steps, const CheckpointSection& checkpoint) {
    configuration.schedule.total_steps = steps;
    configuration.checkpoint = checkpoint;
    return make_plan(configuration, plan_target(configuration, 1)).checkpoints;
  };
  EXPECT_EQ(most(10000, {.every = 1000, .keep = 3}), 4);  // one is being written
  EXPECT_EQ(most(2500, {.every = 1000, .keep = 3}), 3);
  EXPECT_EQ(most(10000, {.every = 0, .keep = 3}), 1);
  // 7000 to 10000, 2000, 4000 and 6000
  EXPECT_EQ(most(10000, {.every = 1000, .keep = 3, .keep_every = 2000}), 7);
  EXPECT_EQ(most(10000, {.every = 1000, .keep = 3, .keep_every = 10000}), 4);
}

/// What the model asks of the store in a step of `micro_batches`.
void make_step(ShardedParameterStore& store, int units, std::int64_t micro_batches) {
  store.zero_gradients();
  for (std::int64_t index = 0; index < micro_batches; ++index) {
    if (index + 1 == micro_batches) store.begin_last_micro_batch();
    const auto use = [&](int unit) {
      store.acquire_weights(unit);
      store.release_weights(unit);
    };
    for (int unit = 0; unit < units; ++unit) use(unit);
    store.gradients_ready(units - 1);
    for (int unit = units - 2; unit > 0; --unit) {
      use(unit);
      store.gradients_ready(unit);
    }
    store.gradients_ready(0);
  }
  store.gradient_norm();
  store.update({});
}

// What a real store's collectives carry in a step, a ring's share of it, is what the plan says.
TEST(Plan, CountsWhatCollectivesCarry) {
  RunConfiguration configuration = run_of("60m");
  configuration.model.vocab_size = 100;
  configuration.model.hidden_size = 128;
  configuration.model.intermediate_size = 200;
  configuration.train.precision = Precision::bf16;
  configuration.train.micro_batch = 2;
  constexpr int ranks = 3;
  for (const std::int64_t layers : {1, 2, 5})
    for (const int stage : {0, 1, 2, 3})
      for (const std::int64_t micro_batches : {1, 3}) {
        configuration.model.num_hidden_layers = layers;
        configuration.parallel.zero_stage = stage;
        configuration.train.global_batch = ranks * micro_batches * configuration.train.micro_batch;
        const ParameterTable table(configuration.model);
        const Plan plan = make_plan(configuration, plan_target(configuration, ranks));
        run_on_threads(ranks, [&](Communicator& threads) {
          CountingCommunicator counting(threads);
          const auto device = make_cpu_device(1);
          ShardedParameterStore store(*device, counting, table, {stage, DataType::bfloat16});
          const auto units = static_cast<int>(table.units().size());
          make_step(store, units, micro_batches);
          const double first_step = counting.sent_bytes();
          make_step(store, units, micro_batches);
          EXPECT_DOUBLE_EQ(first_step, plan.sent_bytes_per_step)
              << layers << " layers, stage " << stage << ", " << micro_batches << " micro-batches";
          EXPECT_DOUBLE_EQ(counting.sent_bytes(), 2 * first_step);
        });
      }
}

}  // namespace
}  // namespace cola
