#include "dist/sharded_parameter_store.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "dist/forwarding_communicator.h"
#include "dist/store_checks.h"

namespace cola {
namespace {

class Stores : public ::testing::TestWithParam<int> {};

TEST_P(Stores, TrainAsPlainLoopsDo) {
  run_on_threads(GetParam(), [](Communicator& communicator) {
    const auto device = make_cpu_device(1);
    testing::check_store(*device, communicator);
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, Stores, ::testing::Values(1, 2, 3, 4));

// Threads add in rank order in all stages, so not one bit may differ between them in a step of one
// micro-batch.
TEST(ShardedParameterStore, GivesTheSameWeightsInAllStages) {
  run_on_threads(3, [](Communicator& communicator) {
    const auto device = make_cpu_device(1);
    const auto whole = testing::train(*device, communicator, {0, DataType::float32}, 3, 1);
    for (const int stage : {1, 2, 3}) {
      const auto split = testing::train(*device, communicator, {stage, DataType::float32}, 3, 1);
      EXPECT_TRUE(whole.working == split.working) << "stage " << stage;
      EXPECT_EQ(whole.state.exp_avg, split.state.exp_avg) << "stage " << stage;
    }
  });
}

// Gradients that stay whole are added up before they are reduced: any number of micro-batches gives stage 0's
// bits, and stage 3 those of stage 2.
TEST(ShardedParameterStore, MicroBatchesAddUpAlikeInStagesThatSplitAlike) {
  run_on_threads(3, [](Communicator& communicator) {
    const auto device = make_cpu_device(1);
    const auto working = [&](int stage) {
      return testing::train(*device, communicator, {stage, DataType::bfloat16}, 3, 3).working;
    };
    EXPECT_TRUE(working(0) == working(1));
    EXPECT_TRUE(working(2) == working(3));
  });
}

// Sums of gradients whose last bits differ from rank to rank, as some libraries' rings give them.
class UnevenCommunicator final : public ForwardingCommunicator {
 public:
  explicit UnevenCommunicator(Communicator& real) : ForwardingCommunicator(real) {}

  std::unique_ptr<PendingCollective> start_reduce_scatter(std::span<float> values,
                                                          std::span<float> sum) override {
    return host().start_reduce_scatter(values, sum);
  }
  std::unique_ptr<PendingCollective> start_all_reduce(std::span<float> values) override {
    auto pending = host().start_all_reduce(values);
    pending->wait();
    for (float& value : values) value *= 1 + 0.125f * static_cast<float>(rank());
    return pending;
  }
  std::unique_ptr<PendingCollective> start_all_gather(std::span<std::byte> bytes) override {
    return host().start_all_gather(bytes);
  }
  std::unique_ptr<Communicator> split(int color) override { return host().split(color); }
};

TEST(ShardedParameterStore, GivesAllRanksTheNormOfTheFirstInStage0) {
  std::vector<std::vector<double>> norms(3);
  run_on_threads(3, [&](Communicator& communicator) {
    const auto device = make_cpu_device(1);
    UnevenCommunicator uneven(communicator);
    norms[static_cast<std::size_t>(communicator.rank())] =
        testing::train(*device, uneven, {0, DataType::float32}, 1, 1).norms;
  });
  EXPECT_EQ(norms[1], norms[0]);
  EXPECT_EQ(norms[2], norms[0]);
}

TEST(ShardedParameterStore, HoldsTheBytesOfItsStage) {
  const ParameterTable table = testing::tiny_table();
  const auto whole = static_cast<std::size_t>(ShardMap(table, 1).padded_total());
  const auto padded = static_cast<std::size_t>(ShardMap(table, 4).padded_total());
  run_on_threads(4, [&](Communicator& communicator) {
    const auto device = make_cpu_device(1);
    const auto bytes = [&](int stage, DataType type) {
      return ShardedParameterStore(*device, communicator, table, {stage, type}).bytes();
    };
    const auto aligned = [](std::size_t size) { return (size + 255) / 256 * 256; };
    EXPECT_EQ(bytes(0, DataType::float32), whole * (4 + 4 + 12));
    EXPECT_EQ(bytes(0, DataType::bfloat16), aligned(whole * 2) + whole * (4 + 12));
    EXPECT_EQ(bytes(1, DataType::bfloat16), aligned(padded * 2) + padded * 4 + padded / 4 * 16);
    std::size_t largest = 0;
    for (int unit = 0; unit < static_cast<int>(table.units().size()); ++unit)
      largest = std::max(largest, static_cast<std::size_t>(ShardMap(table, 4).padded_elements(unit)));
    EXPECT_EQ(bytes(2, DataType::bfloat16), aligned(padded * 2) + padded / 4 * 16 + 2 * largest * 4);
    EXPECT_EQ(bytes(3, DataType::bfloat16),
              aligned(padded / 4 * 2) + padded / 4 * 16 + 2 * largest * (4 + 2));
  });
}

TEST(ShardedParameterStore, RefusesAnUnknownStage) {
  const auto device = make_cpu_device(1);
  const auto communicator = make_self_communicator();
  const ParameterTable table = testing::tiny_table();
  EXPECT_THROW(ShardedParameterStore(*device, *communicator, table, {4, DataType::float32}), UsageError);
}

TEST(ShardedParameterStore, FailsWhenAUnitIsForgottenOrReadyTwice) {
  for (const int stage : {0, 1, 2, 3})
    run_on_threads(2, [&](Communicator& communicator) {
      const auto device = make_cpu_device(1);
      const ParameterTable table = testing::tiny_table();
      ShardedParameterStore store(*device, communicator, table, {stage, DataType::float32});
      store.zero_gradients();
      store.begin_last_micro_batch();
      store.gradients_ready(2);
      EXPECT_THROW(store.gradients_ready(2), Error);
      EXPECT_THROW(store.gradient_norm(), Error);
    });
}

// What is split exists for two units at a time: a third one would take the memory of the first.
TEST(ShardedParameterStore, RefusesToHoldMoreUnitsThanItHasRoomFor) {
  run_on_threads(2, [](Communicator& communicator) {
    const auto device = make_cpu_device(1);
    const ParameterTable table = testing::tiny_table();
    ShardedParameterStore store(*device, communicator, table, {3, DataType::float32});
    store.zero_gradients();
    store.gradients(3);
    EXPECT_THROW(store.gradients(1), Error);
    store.acquire_weights(2);
    EXPECT_THROW(store.acquire_weights(0), Error);
  });
}

// Micro-batches before the last only add up: nothing is reduced, and a further one may still add.
TEST(ShardedParameterStore, AccumulatesBeforeTheLastMicroBatch) {
  const auto device = make_cpu_device(1);
  const auto communicator = make_self_communicator();
  const ParameterTable table = testing::tiny_table();
  ShardedParameterStore store(*device, *communicator, table, {1, DataType::float32});
  store.gradients(0).span<float>()[0] = 3.0f;
  store.gradients_ready(0);
  store.gradients(0).span<float>()[1] = 4.0f;
  store.begin_last_micro_batch();
  store.gradients_ready(0);
  EXPECT_DOUBLE_EQ(store.gradient_norm(), 5.0);
  store.zero_gradients();
  EXPECT_EQ(store.gradient_norm(), 0.0);
}

}  // namespace
}  // namespace cola
