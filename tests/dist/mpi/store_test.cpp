#include <gtest/gtest.h>

#include "dist/mpi/world.h"
#include "dist/store_checks.h"

namespace cola {
namespace {

TEST(ShardedParameterStoreOverMpi, TrainsAsPlainLoopsDo) {
  const auto device = make_cpu_device(1);
  testing::check_store(*device, testing::session().world());
}

TEST(ShardedParameterStoreOverMpi, GivesTheSameTrainingInAllStages) {
  Communicator& world = testing::session().world();
  const auto device = make_cpu_device(1);
  const auto whole = testing::train(*device, world, {0, DataType::float32});
  for (const int stage : {1, 2, 3})
    testing::expect_same_training(testing::train(*device, world, {stage, DataType::float32}), whole);
}

}  // namespace
}  // namespace cola
