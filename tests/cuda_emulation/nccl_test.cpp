// The emulated NCCL itself: what it refuses, and what ranks learn of one that is gone. That it adds and
// gathers is seen where the communicator is tested.
#include <gtest/gtest.h>
#include <nccl.h>

#include <atomic>
#include <future>
#include <string>

#include "device_array.h"
#include "emulated_gpu.h"

namespace cola::emulation {
namespace {

// Two ranks on two threads, each with a communicator and a stream.
template <typename Body>
void on_two_ranks(Body&& body) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  const auto rank_body = [&](int rank) {
    cudaStream_t stream = nullptr;
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    ncclComm_t communicator = nullptr;
    ASSERT_EQ(ncclCommInitRank(&communicator, 2, id, rank), ncclSuccess);
    body(rank, communicator, stream);
    cudaStreamDestroy(stream);
  };
  const auto other = std::async(std::launch::async, rank_body, 1);
  rank_body(0);
  other.wait();
}

// Whichever rank comes to it first: both share the emulated GPU's thread.
TEST(EmulatedNccl, FindsRanksThatStartDifferentCollectives) {
  DeviceArray<float> values(8), sum(4);
  std::atomic<int> found = 0;
  on_two_ranks([&](int rank, ncclComm_t communicator, cudaStream_t stream) {
    const std::size_t count = rank == 0 ? 4 : 3;
    EXPECT_EQ(ncclReduceScatter(values.data(), sum.data(), count, ncclFloat, ncclSum, communicator, stream),
              ncclSuccess);
    if (cudaStreamSynchronize(stream) == cudaErrorLaunchFailure) ++found;
    ncclCommDestroy(communicator);
  });
  EXPECT_GT(found, 0);
  EXPECT_NE(std::string(cudaGetErrorString(cudaErrorLaunchFailure)).find("started reduce-scatter of"),
            std::string::npos);
}

TEST(EmulatedNccl, RefusesMemoryOfTheHost) {
  on_two_ranks([&](int, ncclComm_t communicator, cudaStream_t stream) {
    float value = 1;
    EXPECT_EQ(ncclAllReduce(&value, &value, 1, ncclFloat, ncclSum, communicator, stream),
              ncclInvalidArgument);
    ncclCommDestroy(communicator);
  });
}

TEST(EmulatedNccl, TellsTheOthersOfARankThatHasAborted) {
  on_two_ranks([&](int rank, ncclComm_t communicator, cudaStream_t) {
    if (rank == 1) {
      ncclCommAbort(communicator);
      return;
    }
    ncclResult_t error = ncclSuccess;
    while (error == ncclSuccess) ASSERT_EQ(ncclCommGetAsyncError(communicator, &error), ncclSuccess);
    EXPECT_EQ(error, ncclRemoteError);
    ncclCommDestroy(communicator);
  });
}

}  // namespace
}  // namespace cola::emulation
