#include "dist/staged_communicator.h"

#include <gtest/gtest.h>

#include <functional>

#include "core/error.h"
#include "dist/collective_checks.h"
#include "dist/device_collective_checks.h"
#include "dist/store_checks.h"
#include "support/device_test.h"

namespace cola {
namespace {

// Slots for one number of each rank, for a few, and for everything.
constexpr std::size_t slot_sizes[] = {1, 1000, staging_slot_bytes};

using Body = std::function<void(Device&, Communicator&)>;

// Ranks share the device's hardware, each with a device of its own.
void run_staged(DeviceKind kind, int ranks, std::size_t slot_bytes, const Body& body) {
  run_on_threads(ranks, [&](Communicator& host) {
    const auto device = kind == DeviceKind::cpu ? make_cpu_device(1) : make_cuda_device(0);
    body(*device, *make_staged_communicator(*device, host, slot_bytes));
  });
}

class StagedCommunicators : public DeviceTest {};

TEST_P(StagedCommunicators, ComputeWhatPlainSumsSayOnDeviceMemory) {
  for (const int ranks : {1, 2, 3, 4})
    for (const std::size_t slot_bytes : slot_sizes)
      run_staged(GetParam(), ranks, slot_bytes, [&](Device& device, Communicator& communicator) {
        testing::check_device_collectives(device, communicator, slot_bytes == 1 ? 5 : 2500);
      });
}

TEST_P(StagedCommunicators, CutLongTensorsIntoPieces) {
  run_staged(GetParam(), 2, std::size_t{1} << 20, [](Device& device, Communicator& communicator) {
    testing::check_device_collectives(device, communicator, 1000003);
  });
}

TEST_P(StagedCommunicators, TrainAStore) {
  run_staged(GetParam(), 3, 20000,
             [](Device& device, Communicator& communicator) { testing::check_store(device, communicator); });
}

INSTANTIATE_TEST_SUITE_P(Devices, StagedCommunicators, every_device(), device_label);

// On the CPU a device's memory is host memory, so that whatever holds for other communicators must hold here.
TEST(StagedCommunicator, DoesWhatOtherCommunicatorsDo) {
  for (const int ranks : {1, 2, 3})
    run_staged(DeviceKind::cpu, ranks, 100000,
               [](Device&, Communicator& communicator) { testing::check_collectives(communicator); });
}

TEST(StagedCommunicator, WaitsForADroppedCollective) {
  run_staged(DeviceKind::cpu, 2, 100, [](Device&, Communicator& communicator) {
    std::vector<float> values = testing::small_numbers(communicator.rank(), 3000);
    { const auto dropped = communicator.start_all_reduce(values); }
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], testing::plain_sum(2, i));
  });
}

TEST(StagedCommunicator, SaysHowTensorsTravelAndThroughWhat) {
  constexpr std::size_t slot_bytes = 1 << 20;
  run_staged(DeviceKind::cpu, 2, slot_bytes, [](Device&, Communicator& communicator) {
    EXPECT_EQ(communicator.transport(), "threads through host memory");
    EXPECT_EQ(communicator.staging_bytes(), 2 * slot_bytes);
    EXPECT_EQ(make_self_communicator()->staging_bytes(), 0u);
  });
}

}  // namespace
}  // namespace cola
