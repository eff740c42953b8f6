#include "dist/staged_communicator.h"

#include <gtest/gtest.h>

#include "dist/collective_checks.h"
#include "dist/device_collective_checks.h"
#include "dist/mpi/world.h"
#include "dist/store_checks.h"
#include "support/device_test.h"

namespace cola {
namespace {

class StagedCommunicatorsOverMpi : public DeviceTest {};

TEST_P(StagedCommunicatorsOverMpi, ComputeWhatPlainSumsSay) {
  const auto check = [&](std::size_t slot_bytes, std::size_t chunk) {
    const auto communicator = make_staged_communicator(device(), testing::session().world(), slot_bytes);
    testing::check_device_collectives(device(), *communicator, chunk);
  };
  check(1, 2);
  check(1000, 300);
  check(staging_slot_bytes, 70000);
}

TEST_P(StagedCommunicatorsOverMpi, AreSplit) {
  testing::check_split(*make_staged_communicator(device(), testing::session().world()));
}

TEST_P(StagedCommunicatorsOverMpi, TrainAStore) {
  const auto communicator = make_staged_communicator(device(), testing::session().world(), 100000);
  testing::check_training(device(), *communicator, {1, DataType::bfloat16});
}

INSTANTIATE_TEST_SUITE_P(Devices, StagedCommunicatorsOverMpi, every_device(), device_label);

}  // namespace
}  // namespace cola
