// What a plan says of targets and traffic.
#include "train/plan.h"

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

TEST(Plan, RefusesMoreRanksThanSequences) {
  const RunConfiguration configuration = run_of("60m");
  EXPECT_THROW(make_plan(configuration, plan_target(configuration, 513)), UsageError);
}

TEST(Plan, CheckpointsHoldThreeFp32CopiesOfAllParameters) {
  const RunConfiguration configuration = run_of("7b");
  const Plan plan = make_plan(configuration, plan_target(configuration, 64));
  EXPECT_NEAR(plan.checkpoint_bytes / (12 * plan.parameters), 1.0, 1e-4);
  EXPECT_NEAR(plan.parameters / 2821e6, 1.0, 1e-3);
}

// One step of a real store: what its collectives carry, a ring's share of it, is what the plan says.
TEST(Plan, CountsWhatCollectivesCarry) {
  RunConfiguration configuration = run_of("60m");
  configuration.model.vocab_size = 100;
  configuration.model.num_hidden_layers = 2;
  configuration.train.precision = Precision::bf16;
  constexpr int ranks = 3;
  const ParameterTable table(configuration.model);
  for (const int stage : {0, 1}) {
    configuration.parallel.zero_stage = stage;
    const Plan plan = make_plan(configuration, plan_target(configuration, ranks));
    run_on_threads(ranks, [&](Communicator& threads) {
      CountingCommunicator counting(threads);
      const auto device = make_cpu_device(1);
      ShardedParameterStore store(*device, counting, table, {stage, DataType::bfloat16});
      store.zero_gradients();
      store.begin_last_micro_batch();
      for (int unit = static_cast<int>(table.units().size()) - 1; unit >= 0; --unit)
        store.gradients_ready(unit);
      store.gradient_norm();
      store.update({});
      EXPECT_DOUBLE_EQ(counting.sent_bytes(), plan.sent_bytes_per_step) << "stage " << stage;
    });
  }
}

}  // namespace
}  // namespace cola
