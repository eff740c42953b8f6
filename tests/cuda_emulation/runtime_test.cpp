// Streams, events, graphs and memory of the emulated runtime: work is done when it is waited for, not before.
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <thread>

#include "device_array.h"
#include "emulated_gpu.h"

namespace cola::emulation {
namespace {

__global__ void add(int* values, int amount) {
  values[threadIdx.x] += amount;
}

class EmulatedRuntime : public ::testing::Test {
 protected:
  void SetUp() override {
    for (cudaStream_t* stream : {&first_, &second_})
      ASSERT_EQ(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(cudaHostAlloc(reinterpret_cast<void**>(&pinned_), bytes, cudaHostAllocDefault), cudaSuccess);
  }
  void TearDown() override {
    cudaFreeHost(pinned_);
    for (cudaStream_t stream : {first_, second_}) cudaStreamDestroy(stream);
    cudaGetLastError();
  }
  void launch_add(int amount) { cuda::launch("add", add, {dim3(1), dim3(8)}, first_, array_.data(), amount); }

  static constexpr std::size_t bytes = 8 * sizeof(int);
  DeviceArray<int> array_{std::vector<int>(8, 0)};
  cudaStream_t first_ = nullptr, second_ = nullptr;
  int* pinned_ = nullptr;
};

TEST_F(EmulatedRuntime, CopyToPinnedMemoryIsThereWhenWaitedFor) {
  pinned_[0] = -1;
  launch_add(5);
  EXPECT_EQ(cudaMemcpyAsync(pinned_, array_.data(), bytes, cudaMemcpyDeviceToHost, first_), cudaSuccess);
  EXPECT_EQ(pinned_[0], -1);
  EXPECT_EQ(cudaStreamSynchronize(first_), cudaSuccess);
  EXPECT_EQ(pinned_[0], 5);
}

TEST_F(EmulatedRuntime, PinnedSourceIsReadLatePageableSourceAtOnce) {
  std::vector<int> pageable(8, 1);
  pinned_[0] = 1;
  DeviceArray<int> other(std::vector<int>(8, 0));
  cudaMemcpyAsync(array_.data(), pageable.data(), bytes, cudaMemcpyHostToDevice, first_);
  cudaMemcpyAsync(other.data(), pinned_, bytes, cudaMemcpyHostToDevice, first_);
  pageable[0] = pinned_[0] = 2;
  EXPECT_EQ(cudaStreamSynchronize(first_), cudaSuccess);
  EXPECT_EQ(array_.values()[0], 1);
  EXPECT_EQ(other.values()[0], 2);
}

TEST_F(EmulatedRuntime, StreamsMeetOnlyAtEvents) {
  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  const auto read_on_second = [&] {
    cudaMemcpyAsync(pinned_, array_.data(), bytes, cudaMemcpyDeviceToHost, second_);
    EXPECT_EQ(cudaStreamSynchronize(second_), cudaSuccess);
    return pinned_[0];
  };
  launch_add(3);
  EXPECT_EQ(read_on_second(), 0);
  EXPECT_EQ(cudaEventRecord(event, first_), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  launch_add(4);
  EXPECT_EQ(cudaEventRecord(event, first_), cudaSuccess);
  EXPECT_EQ(cudaStreamWaitEvent(second_, event, 0), cudaSuccess);
  launch_add(100);
  EXPECT_EQ(read_on_second(), 7);
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
}

TEST_F(EmulatedRuntime, EventsTellTheTimeBetweenThem) {
  cudaEvent_t events[2] = {};
  for (cudaEvent_t& event : events) {
    ASSERT_EQ(cudaEventCreate(&event), cudaSuccess);
    EXPECT_EQ(cudaEventRecord(event, first_), cudaSuccess);
    launch_add(1);
  }
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, events[0], events[1]), cudaErrorNotReady);
  EXPECT_EQ(cudaEventSynchronize(events[1]), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, events[0], events[1]), cudaSuccess);
  EXPECT_GT(milliseconds, 0);
  for (cudaEvent_t event : events) EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
}

TEST_F(EmulatedRuntime, GraphIsRecordedWithoutRunningAndReplayed) {
  EXPECT_EQ(cudaStreamBeginCapture(first_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(array_.data(), 0, bytes, first_), cudaSuccess);
  launch_add(2);
  launch_add(3);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(first_, &graph), cudaSuccess);
  launch_add(1);
  EXPECT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(array_.values(), std::vector<int>(8, 0));  // the default stream does not wait for this one
  EXPECT_EQ(cudaStreamSynchronize(first_), cudaSuccess);
  EXPECT_EQ(array_.values(), std::vector<int>(8, 1));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(cudaGraphLaunch(executable, first_), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(first_), cudaSuccess);
    EXPECT_EQ(array_.values(), std::vector<int>(8, 5));
  }
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
}

TEST_F(EmulatedRuntime, WhatCannotBeRecordedIsRefused) {
  std::vector<int> pageable(8);
  void* memory = nullptr;
  const std::vector<std::function<cudaError_t()>> attempts = {
      [&] { return cudaStreamSynchronize(first_); }, [&] { return cudaMalloc(&memory, 8); },
      [&] { return cudaMemcpyAsync(pageable.data(), array_.data(), bytes, cudaMemcpyDeviceToHost, first_); }};
  for (const auto& attempt : attempts) {
    EXPECT_EQ(cudaStreamBeginCapture(first_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    launch_add(1);
    EXPECT_EQ(attempt(), cudaErrorStreamCaptureUnsupported);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(first_, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
  }
  EXPECT_EQ(cudaStreamSynchronize(first_), cudaSuccess);
  EXPECT_EQ(array_.values(), std::vector<int>(8, 0));
}

TEST_F(EmulatedRuntime, CopiesAreCheckedAgainstTheirKind) {
  std::vector<int> host(16);
  EXPECT_EQ(cudaMemcpyAsync(array_.data(), array_.data(), 8, cudaMemcpyHostToDevice, first_),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpyAsync(host.data(), host.data(), 8, cudaMemcpyDeviceToHost, first_),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpyAsync(array_.data(), host.data(), bytes + 1, cudaMemcpyHostToDevice, first_),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(array_.data() + 1, 0, bytes, first_), cudaErrorInvalidValue);
}

// The first GPU has one from the tests' own thread.
TEST_F(EmulatedRuntime, ThreadsOpenContextsOnTheGpuTheyChose) {
  EmulatedGpu& gpu = EmulatedGpu::instance();
  gpu.set_device_count(3);
  const auto on_a_thread = [](const std::function<void()>& body) { std::thread(body).join(); };
  on_a_thread([] {
    int count = 0;
    EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
    EXPECT_EQ(count, 3);
    EXPECT_EQ(cudaSetDevice(3), cudaErrorInvalidDevice);
  });
  EXPECT_EQ(gpu.contexts(), std::set<int>({0}));
  on_a_thread([] { EXPECT_EQ(cudaSetDevice(2), cudaSuccess); });
  EXPECT_EQ(gpu.contexts(), std::set<int>({0, 2}));
  on_a_thread([&] {
    EmulatedGpu::current_device() = 1;
    EXPECT_EQ(cudaStreamSynchronize(first_), cudaSuccess);
  });
  EXPECT_EQ(gpu.contexts(), std::set<int>({0, 1, 2}));
  gpu.set_device_count(1);
  cudaGetLastError();
}

TEST_F(EmulatedRuntime, MemoryCanRunOut) {
  DeviceMemory& memory = EmulatedGpu::instance().memory();
  const std::size_t before = memory.total_bytes();
  memory.set_total_bytes(std::size_t{1} << 20);
  void *small = nullptr, *large = nullptr;
  EXPECT_EQ(cudaMalloc(&small, 1000000), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&large, 1000000), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaFree(small), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&large, 1000000), cudaSuccess);
  EXPECT_EQ(cudaFree(large), cudaSuccess);
  memory.set_total_bytes(before);
}

TEST_F(EmulatedRuntime, FaultsOfMemoryEndTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(array_.data()[0] = 1, "host code touched .*, which is device memory");
  EXPECT_DEATH(run({dim3(1), dim3(1024)}, add, array_.data(), 1), "kernel, block .* thread .* touched");
  EXPECT_DEATH(run({dim3(1), dim3(1)}, add, static_cast<int*>(nullptr), 1), "touched .*no memory is mapped");
  void* gone = nullptr;
  ASSERT_EQ(cudaMalloc(&gone, sizeof(int)), cudaSuccess);
  ASSERT_EQ(cudaFree(gone), cudaSuccess);
  EXPECT_DEATH(run({dim3(1), dim3(1)}, add, static_cast<int*>(gone), 1), "touched .*no memory is mapped");
}

}  // namespace
}  // namespace cola::emulation
