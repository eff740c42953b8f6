// Blocks: built-in variables, barriers, collectives among a warp's lanes, shared memory, and their misuse.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "device_array.h"
#include "shared_memory.h"

namespace cola::emulation {
namespace {

__global__ void number_threads(unsigned* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned index = block * blockDim.x * blockDim.y * blockDim.z + thread;
  out[index] = index;
}

TEST(EmulatedBlock, EveryThreadOfEveryBlockRunsOnce) {
  const dim3 blocks(3, 2, 4), threads(5, 3, 2);
  const DeviceArray<unsigned> out(24 * 30);
  EXPECT_EQ(run({blocks, threads}, number_threads, out.data()), "");
  std::vector<unsigned> expected(24 * 30);
  std::iota(expected.begin(), expected.end(), 0u);
  EXPECT_EQ(out.values(), expected);
}

// Each thread reads what another wrote, three times over.
__global__ void turn_around(int* out, bool wait) {
  __shared__ int values[256];
  int value = static_cast<int>(threadIdx.x);
  for (int round = 0; round < 3; ++round) {
    values[threadIdx.x] = value;
    if (wait) __syncthreads();
    value = values[255 - threadIdx.x] + 1;
    if (wait) __syncthreads();
  }
  out[blockIdx.x * 256 + threadIdx.x] = value;
}

TEST(EmulatedBlock, BarrierOrdersTheBlock) {
  const DeviceArray<int> out(4 * 256);
  EXPECT_EQ(run({dim3(4), dim3(256)}, turn_around, out.data(), true), "");
  const auto values = out.values();
  for (int i = 0; i < 4 * 256; ++i) ASSERT_EQ(values[i], 255 - i % 256 + 3) << i;
}

TEST(EmulatedBlock, MissingBarrierShows) {
  const DeviceArray<int> out(256), right(256);
  EXPECT_EQ(run({dim3(1), dim3(256)}, turn_around, right.data(), true), "");
  EXPECT_EQ(run({dim3(1), dim3(256)}, turn_around, out.data(), false), "");
  EXPECT_NE(out.values(), right.values());
}

__global__ void some_leave() {
  if (threadIdx.x >= 60) return;
  __syncthreads();
}
__global__ void two_places() {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void lane_leaves() {
  if (threadIdx.x == 7) return;
  __syncwarp();
}
__global__ void other_collective(int* out) {
  if (threadIdx.x < 16)
    out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);
  else
    __syncwarp();
}
__global__ void part_of_a_warp() {
  __syncwarp(0x0000ffffu);
}

TEST(EmulatedBlock, DivergentBarriersAreFound) {
  EXPECT_TRUE(says(run({dim3(1), dim3(64)}, some_leave), "have finished"));
  EXPECT_TRUE(says(run({dim3(1), dim3(64)}, some_leave), "block_test.cpp"));
  EXPECT_TRUE(says(run({dim3(1), dim3(64)}, two_places), "while others of the block are at"));
}

TEST(EmulatedBlock, IncompleteWarpsAreFound) {
  const DeviceArray<int> out(32);
  EXPECT_TRUE(says(run({dim3(1), dim3(32)}, lane_leaves), "31 wait in __syncwarp"));
  EXPECT_TRUE(says(run({dim3(1), dim3(32)}, other_collective, out.data()), "other lanes of the warp"));
  EXPECT_TRUE(says(run({dim3(1), dim3(32)}, part_of_a_warp), "only whole warps"));
  EXPECT_TRUE(says(run({dim3(1), dim3(40)}, lane_leaves), "a warp of 8 lanes"));
}

__global__ void shuffle_all_ways(int* out) {
  const int lane = static_cast<int>(threadIdx.x % 32),
            value = 100 * (static_cast<int>(threadIdx.x) / 32) + lane;
  int* mine = out + threadIdx.x * 5;
  mine[0] = __shfl_xor_sync(0xffffffffu, value, 5);
  mine[1] = __shfl_up_sync(0xffffffffu, value, 3);
  mine[2] = __shfl_down_sync(0xffffffffu, value, 3);
  mine[3] = __shfl_sync(0xffffffffu, value, 9);
  mine[4] = static_cast<int>(__ballot_sync(0xffffffffu, lane % 3 == 0));
}

TEST(EmulatedBlock, LanesExchangeValues) {
  const DeviceArray<int> out(96 * 5);
  EXPECT_EQ(run({dim3(1), dim3(96)}, shuffle_all_ways, out.data()), "");
  const auto values = out.values();
  for (int thread = 0; thread < 96; ++thread) {
    const int lane = thread % 32, base = 100 * (thread / 32);
    const int* mine = values.data() + thread * 5;
    EXPECT_EQ(mine[0], base + (lane ^ 5));
    EXPECT_EQ(mine[1], base + (lane < 3 ? lane : lane - 3));
    EXPECT_EQ(mine[2], base + (lane > 28 ? lane : lane + 3));
    EXPECT_EQ(mine[3], base + 9);
    EXPECT_EQ(mine[4], 0x49249249);
  }
}

__global__ void read_unwritten(float* out) {
  __shared__ float fixed[4];
  const auto* dynamic = reinterpret_cast<const float*>(dynamic_shared_memory());
  out[2 * blockIdx.x] = fixed[1];
  out[2 * blockIdx.x + 1] = dynamic[1];
  fixed[1] = 3;
}
__global__ void write_at(int index) {
  dynamic_shared_memory()[index] = 0;
}

TEST(EmulatedBlock, SharedMemoryBeginsAsNaN) {
  const DeviceArray<float> out(6);
  EXPECT_EQ(run({dim3(3), dim3(1), 8}, read_unwritten, out.data()), "");
  for (const float value : out.values()) EXPECT_TRUE(std::isnan(value));
}

TEST(EmulatedBlock, SharedMemoryOverrunIsFound) {
  EXPECT_EQ(run({dim3(1), dim3(1), 100}, write_at, 99), "");
  EXPECT_TRUE(says(run({dim3(1), dim3(1), 100}, write_at, 100), "beyond its 100 bytes"));
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run({dim3(1), dim3(1), 100}, write_at, 128),
               "kernel, block \\(0, 0, 0\\), thread \\(0, 0, 0\\) touched");
}

__global__ void nothing() {}

TEST(EmulatedBlock, ImpossibleShapesAreRefused) {
  EXPECT_EQ(run({dim3(1), dim3(1024), maximum_shared_bytes}, nothing), "");
  EXPECT_TRUE(says(run({dim3(1), dim3(1025)}, nothing), "1025 x 1 x 1 threads"));
  EXPECT_TRUE(says(run({dim3(0), dim3(1)}, nothing), "0 x 1 x 1 blocks"));
  EXPECT_TRUE(says(run({dim3(1, 70000), dim3(1)}, nothing), "1 x 70000 x 1 blocks"));
  EXPECT_TRUE(says(run({dim3(1), dim3(1), maximum_shared_bytes + 1}, nothing), "shared memory"));
}

TEST(EmulatedBlock, GoesOnAfterAFault) {
  const DeviceArray<int> out(256);
  EXPECT_NE(run({dim3(1), dim3(64)}, some_leave), "");
  EXPECT_EQ(run({dim3(1), dim3(256)}, turn_around, out.data(), true), "");
  EXPECT_EQ(out.values()[0], 258);
}

}  // namespace
}  // namespace cola::emulation
