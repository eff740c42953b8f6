// Products of groups of four warps against plain loops; squares and fragments are filled as
// core/cuda/hopper/warp_group.h documents them.
#include "core/cuda/hopper/warp_group.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/cuda/launch.h"
#include "device_array.h"
#include "support/test_random.h"

namespace cola::emulation {
namespace {

using cuda::warp_group::depth;
using cuda::warp_group::depths;
using cuda::warp_group::Left;
using cuda::warp_group::Lies;
using cuda::warp_group::square;
using cuda::warp_group::square_bytes;
using cuda::warp_group::Sums;

constexpr std::size_t shared_bytes = 3 * square_bytes;  // room to begin at a multiple of 1024

unsigned char* squares() {
  unsigned char* const memory = dynamic_shared_memory();
  return memory + (1024 - reinterpret_cast<std::uintptr_t>(memory) % 1024) % 1024;
}

// A matrix [64, 64] into a square.
void fill(unsigned char* to, const __nv_bfloat16* from) {
  for (int i = static_cast<int>(threadIdx.x); i < square * square; i += cuda::warp_group::threads) {
    const int row = i / square, column = i % square;
    *reinterpret_cast<__nv_bfloat16*>(to + cuda::warp_group::offset_in_square(row, column / 8) +
                                      column % 8 * 2) = from[i];
  }
}

// The squares that the block's threads have filled, to its products.
void show_to_all() {
  cuda::warp_group::show_writes_to_products();
  __syncthreads();
}

// Where element e of tile n of a thread's sums lies.
int place_of(int n, int e) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  return (warp * 16 + lane / 4 + e / 2 * 8) * square + n * 8 + lane % 4 * 2 + e % 2;
}

std::uint32_t pair_of(__nv_bfloat16 low, __nv_bfloat16 high) {
  return std::uint32_t{__bfloat16_as_ushort(low)} | std::uint32_t{__bfloat16_as_ushort(high)} << 16;
}

// d = 0.5 + left · right, both squares.
template <Lies left_lies, Lies right_lies>
__global__ void product_of_squares(const __nv_bfloat16* left, const __nv_bfloat16* right, float* d) {
  unsigned char *const lefts = squares(), *const rights = squares() + square_bytes;
  fill(lefts, left);
  fill(rights, right);
  show_to_all();
  Sums sums;
  for (auto& tile : sums)
    for (float& sum : tile) sum = 0.5f;
  cuda::warp_group::prepare_products(sums);
  for (int step = 0; step < depths; ++step)
    cuda::warp_group::start_product<left_lies, right_lies>(
        sums, cuda::warp_group::part_of<left_lies>(lefts, step),
        cuda::warp_group::part_of<right_lies>(rights, step), true);
  cuda::warp_group::close_products();
  cuda::warp_group::wait_for_products<0>();
  for (int n = 0; n < 8; ++n)
    for (int e = 0; e < 4; ++e) d[place_of(n, e)] = sums[n][e];
}

// d = left · right, the left one in registers.
template <Lies right_lies>
__global__ void product_of_registers(const __nv_bfloat16* left, const __nv_bfloat16* right, float* d) {
  unsigned char* const rights = squares();
  fill(rights, right);
  show_to_all();
  Sums sums = {};
  Left lefts[depths];
  cuda::warp_group::prepare_products(lefts, sums);
  for (int step = 0; step < depths; ++step) {
    for (int i = 0; i < 4; ++i) {
      const __nv_bfloat16* const pair = left + place_of(step * 2 + i / 2, i % 2 * 2);
      lefts[step][i] = pair_of(pair[0], pair[1]);
    }
    cuda::warp_group::start_product<right_lies>(sums, lefts[step],
                                                cuda::warp_group::part_of<right_lies>(rights, step));
  }
  cuda::warp_group::close_products();
  cuda::warp_group::wait_for_products<0>();
  for (int n = 0; n < 8; ++n)
    for (int e = 0; e < 4; ++e) d[place_of(n, e)] = sums[n][e];
}

class EmulatedWarpGroup : public ::testing::Test {
 protected:
  EmulatedWarpGroup() {
    for (auto* matrix : {&left_, &right_})
      for (const int value : random_.integers(square * square, -9, 9))
        matrix->push_back(__float2bfloat16_rn(static_cast<float>(value)));
  }

  // d = base + left · right, where an operand that lies the other way is transposed in its square.
  template <typename Kernel>
  void check(Kernel kernel, bool left_transposed, bool right_transposed, float base) {
    const DeviceArray<__nv_bfloat16> left(left_), right(right_);
    ASSERT_EQ(run({dim3(1), dim3(128), shared_bytes}, kernel, left.data(), right.data(), d_.data()), "");
    const auto values = d_.values();
    for (int row = 0; row < square; ++row)
      for (int column = 0; column < square; ++column) {
        float sum = base;
        for (int k = 0; k < square; ++k)
          sum += __bfloat162float(left_[left_transposed ? k * square + row : row * square + k]) *
                 __bfloat162float(right_[right_transposed ? k * square + column : column * square + k]);
        ASSERT_EQ(values[row * square + column], sum) << row << " " << column;
      }
  }

  TestRandom random_;
  std::vector<__nv_bfloat16> left_, right_;
  DeviceArray<float> d_{square * square};
};

TEST_F(EmulatedWarpGroup, ProductsOfSquaresAgreeWithPlainLoops) {
  SCOPED_TRACE(random_.describe());
  check(product_of_squares<Lies::along_rows, Lies::along_rows>, false, false, 0.5f);
  check(product_of_squares<Lies::down_columns, Lies::along_rows>, true, false, 0.5f);
  check(product_of_squares<Lies::along_rows, Lies::down_columns>, false, true, 0.5f);
  check(product_of_squares<Lies::down_columns, Lies::down_columns>, true, true, 0.5f);
}

TEST_F(EmulatedWarpGroup, ProductsOfRegistersAgreeWithPlainLoops) {
  SCOPED_TRACE(random_.describe());
  check(product_of_registers<Lies::along_rows>, false, false, 0.0f);
  check(product_of_registers<Lies::down_columns>, false, true, 0.0f);
}

// Sums that are used before they have been waited for.
__global__ void impatient(float* d) {
  fill(squares(), std::vector<__nv_bfloat16>(square * square, __float2bfloat16_rn(1.0f)).data());
  show_to_all();
  Sums sums = {};
  const auto part = cuda::warp_group::part_of<Lies::along_rows>(squares(), 0);
  cuda::warp_group::prepare_products(sums);
  cuda::warp_group::start_product<Lies::along_rows, Lies::along_rows>(sums, part, part, true);
  cuda::warp_group::close_products();
  d[threadIdx.x] = sums[0][0];
  cuda::warp_group::wait_for_products<1>();
  d[threadIdx.x + 128] = sums[0][0];
  cuda::warp_group::wait_for_products<0>();
  d[threadIdx.x + 256] = sums[0][0];
}

TEST_F(EmulatedWarpGroup, SumsAreThereAfterTheWait) {
  const DeviceArray<float> d(384);
  EXPECT_EQ(run({dim3(1), dim3(128), shared_bytes}, impatient, d.data()), "");
  const auto values = d.values();
  for (int thread = 0; thread < 128; ++thread) {
    EXPECT_TRUE(std::isnan(values[thread]) && std::isnan(values[thread + 128])) << thread;
    EXPECT_EQ(values[thread + 256], depth) << thread;
  }
}

TEST_F(EmulatedWarpGroup, ProductsThatNobodyWaitsForAreFound) {
  const auto kernel = +[] {
    static thread_local Sums sums[128];
    const auto part = cuda::warp_group::part_of<Lies::along_rows>(squares(), 0);
    cuda::warp_group::prepare_products(sums[threadIdx.x]);
    cuda::warp_group::start_product<Lies::along_rows, Lies::along_rows>(sums[threadIdx.x], part, part, true);
    cuda::warp_group::close_products();
  };
  EXPECT_TRUE(says(run({dim3(1), dim3(128), shared_bytes}, kernel), "products are under way"));
}

TEST_F(EmulatedWarpGroup, SquaresBeyondSharedMemoryAreFound) {
  const auto kernel = +[] {
    Sums sums = {};
    const auto part = cuda::warp_group::part_of<Lies::along_rows>(squares() + 3 * square_bytes, 0);
    cuda::warp_group::prepare_products(sums);
    cuda::warp_group::start_product<Lies::along_rows, Lies::along_rows>(sums, part, part, true);
    cuda::warp_group::close_products();
    cuda::warp_group::wait_for_products<0>();
  };
  EXPECT_TRUE(says(run({dim3(1), dim3(128), shared_bytes}, kernel), "not the block's shared memory"));
}

// The product of a square with itself, of which a fence is left out.
template <bool shown, bool prepared>
__global__ void without_fence() {
  fill(squares(), std::vector<__nv_bfloat16>(square * square, __float2bfloat16_rn(1.0f)).data());
  if (shown) cuda::warp_group::show_writes_to_products();
  __syncthreads();
  Sums sums = {};
  if (prepared) cuda::warp_group::prepare_products(sums);
  const auto part = cuda::warp_group::part_of<Lies::along_rows>(squares(), 0);
  cuda::warp_group::start_product<Lies::along_rows, Lies::along_rows>(sums, part, part, true);
  cuda::warp_group::close_products();
  cuda::warp_group::wait_for_products<0>(sums);
}

TEST_F(EmulatedWarpGroup, MissingFencesAreFound) {
  const cuda::LaunchShape shape{dim3(1), dim3(128), shared_bytes};
  EXPECT_EQ(run(shape, without_fence<true, true>), "");
  EXPECT_TRUE(says(run(shape, without_fence<true, false>), "without wgmma.fence since the last wait"));
  EXPECT_TRUE(says(run(shape, without_fence<false, true>), "written to without fence.proxy.async"));
}

// One group waits for its own threads alone; the other has gone.
TEST_F(EmulatedWarpGroup, GroupsWaitForThemselves) {
  const DeviceArray<float> d(128);
  const auto kernel = +[](float* out) {
    auto* const shared = reinterpret_cast<float*>(dynamic_shared_memory());
    if (threadIdx.x < 128) return;
    const unsigned thread = threadIdx.x - 128;
    shared[thread] = static_cast<float>(thread);
    cuda::warp_group::wait_for_group(1);
    out[thread] = shared[127 - thread];
  };
  EXPECT_EQ(run({dim3(1), dim3(256), shared_bytes}, kernel, d.data()), "");
  const auto values = d.values();
  for (int thread = 0; thread < 128; ++thread) EXPECT_EQ(values[thread], 127 - thread);
}

}  // namespace
}  // namespace cola::emulation
