#include "apps/common/communicator_choice.h"

#include <gtest/gtest.h>

namespace cola {
namespace {

constexpr const char* shared = "ranks 0 and 1 share GPU 0000:65:00.0 on n1";

TEST(TensorRoute, IsMpiOnTheCpu) {
  for (const Collectives wanted : {Collectives::automatic, Collectives::mpi})
    for (const int ranks : {1, 4})
      EXPECT_EQ(choose_route(DeviceKind::cpu, wanted, ranks, ""), TensorRoute::mpi);
}

TEST(TensorRoute, IsNcclBetweenGpusWhereItCanServe) {
  EXPECT_EQ(choose_route(DeviceKind::cuda, Collectives::automatic, 4, ""), TensorRoute::nccl);
  EXPECT_EQ(choose_route(DeviceKind::cuda, Collectives::automatic, 4, shared),
            TensorRoute::mpi_through_host_memory);
}

TEST(TensorRoute, IsWhatIsAskedFor) {
  EXPECT_EQ(choose_route(DeviceKind::cuda, Collectives::nccl, 4, ""), TensorRoute::nccl);
  EXPECT_EQ(choose_route(DeviceKind::cuda, Collectives::nccl, 1, ""), TensorRoute::nccl);
  EXPECT_EQ(choose_route(DeviceKind::cuda, Collectives::mpi, 4, ""), TensorRoute::mpi_through_host_memory);
}

TEST(TensorRoute, IsOfNoAccountForOneRank) {
  for (const Collectives wanted : {Collectives::automatic, Collectives::mpi})
    EXPECT_EQ(choose_route(DeviceKind::cuda, wanted, 1, ""), TensorRoute::mpi);
}

TEST(Detour, IsAWarningWhereTheProgramHasNoNccl) {
  const auto told = [](bool built_without_nccl) {
    ::testing::internal::CaptureStderr();
    tell_detour("this program was built without NCCL", built_without_nccl);
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_NE(told(true).find("warning: tensors go over MPI through host memory, not NCCL: this program was "
                            "built without NCCL, which is slow: build it with NCCL"),
            std::string::npos);
  EXPECT_EQ(told(false), "");
}

}  // namespace
}  // namespace cola
