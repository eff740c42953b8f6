#include <gtest/gtest.h>

#include "dist/mpi/world.h"
#include "dist/store_checks.h"

namespace cola {
namespace {

TEST(ShardedParameterStoreOverMpi, TrainsAsPlainLoopsDo) {
  testing::check_store(testing::session().world());
}

TEST(ShardedParameterStoreOverMpi, GivesTheSameTrainingInAllStages) {
  Communicator& world = testing::session().world();
  const auto whole = testing::train(world, {0, DataType::float32});
  for (const int stage : {1, 2, 3})
    testing::expect_same_training(testing::train(world, {stage, DataType::float32}), whole);
}

}  // namespace
}  // namespace cola
