#include <gtest/gtest.h>

#include "dist/mpi/world.h"
#include "dist/store_checks.h"

namespace cola {
namespace {

TEST(ShardedParameterStoreOverMpi, TrainsAsPlainLoopsDo) {
  const auto device = make_cpu_device(1);
  testing::check_store(*device, testing::session().world());
}

TEST(ShardedParameterStoreOverMpi, GivesTheSameTrainingInBothStages) {
  Communicator& world = testing::session().world();
  const auto device = make_cpu_device(1);
  testing::expect_same_training(testing::train(*device, world, {0, DataType::float32}),
                                testing::train(*device, world, {1, DataType::float32}));
}

}  // namespace
}  // namespace cola
