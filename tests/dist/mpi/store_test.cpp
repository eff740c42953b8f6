#include <gtest/gtest.h>

#include "dist/mpi/world.h"
#include "dist/store_checks.h"

namespace cola {
namespace {

TEST(ShardedParameterStoreOverMpi, TrainsAsPlainLoopsDo) {
  testing::check_store(testing::session().world());
}

TEST(ShardedParameterStoreOverMpi, GivesTheSameTrainingInBothStages) {
  Communicator& world = testing::session().world();
  testing::expect_same_training(testing::train(world, {0, DataType::float32}),
                                testing::train(world, {1, DataType::float32}));
}

}  // namespace
}  // namespace cola
