#include "dist/nccl_communicator.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "core/error.h"
#include "dist/device_collective_checks.h"
#include "dist/store_checks.h"

namespace cola {
namespace {

class NcclCommunicators : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device on this machine";
    const auto device = make_cuda_device(0);
    const std::string obstacle = find_nccl_obstacle(*device, *make_self_communicator());
    if (!obstacle.empty()) GTEST_SKIP() << obstacle;
    ::setenv("COLA_EMULATED_OWN_EVENTS", "1", 1);  // the watchdog must destroy none
    watchdog_.start(std::chrono::minutes(2));
  }

  // It looks on; when it must end a job is tested elsewhere.
  Watchdog watchdog_{[] {}};
};

TEST_F(NcclCommunicators, ServeOneRank) {
  const auto host = make_self_communicator();
  const auto device = make_cuda_device(0);
  const auto communicator = make_nccl_communicator(*device, *host, watchdog_);
  EXPECT_EQ(communicator->transport().rfind("NCCL ", 0), 0u) << communicator->transport();
  for (const std::size_t chunk : {1u, 70000u, 5000003u})
    testing::check_device_collectives(*device, *communicator, chunk);
  testing::check_split(*communicator);
}

TEST_F(NcclCommunicators, ServeOneRankAGpu) {
  const int gpus = cuda_device_count();
  if (gpus < 2) GTEST_SKIP() << "only one GPU on this machine";
  run_on_threads(gpus, [&](Communicator& host) {
    const auto device = make_cuda_device(host.rank());
    const auto communicator = make_nccl_communicator(*device, host, watchdog_);
    for (const std::size_t chunk : {1u, 70000u, 5000003u})
      testing::check_device_collectives(*device, *communicator, chunk);
    testing::check_store(*device, *communicator);
  });
}

TEST_F(NcclCommunicators, RefuseRanksThatShareAGpu) {
  run_on_threads(2, [&](Communicator& host) {
    const auto device = make_cuda_device(0);
    try {
      make_nccl_communicator(*device, host, watchdog_);
      ADD_FAILURE() << "two ranks on one GPU were accepted";
    } catch (const UsageError& error) {
      const std::string text = error.what();
      EXPECT_EQ(text.rfind("ranks 0 and 1 share GPU ", 0), 0u) << text;
      EXPECT_NE(text.find("parallel.collectives: mpi"), std::string::npos) << text;
    }
  });
}

}  // namespace
}  // namespace cola
