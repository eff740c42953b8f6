// Tensor-core instructions against plain loops; the fragments are filled as core/cuda/tensor_core.h documents
// them.
#include "core/cuda/tensor_core.h"

#include <gtest/gtest.h>

#include <cmath>

#include "device_array.h"
#include "support/test_random.h"

namespace cola::emulation {
namespace {

std::uint32_t pair_of(__nv_bfloat16 low, __nv_bfloat16 high) {
  return std::uint32_t{__bfloat16_as_ushort(low)} | std::uint32_t{__bfloat16_as_ushort(high)} << 16;
}

// d [16, 8] += a [16, 16] b [16, 8].
__global__ void product(const __nv_bfloat16* a, const __nv_bfloat16* b, float* d) {
  const unsigned group = threadIdx.x / 4, pair = 2 * (threadIdx.x % 4);
  const auto of_a = [&](unsigned row, unsigned column) {
    return pair_of(a[row * 16 + column], a[row * 16 + column + 1]);
  };
  const auto of_b = [&](unsigned row, unsigned column) {
    return pair_of(b[row * 8 + column], b[(row + 1) * 8 + column]);
  };
  const std::uint32_t left[4] = {of_a(group, pair), of_a(group + 8, pair), of_a(group, pair + 8),
                                 of_a(group + 8, pair + 8)};
  const std::uint32_t right[2] = {of_b(pair, group), of_b(pair + 8, group)};
  const unsigned places[4] = {group * 8 + pair, group * 8 + pair + 1, (group + 8) * 8 + pair,
                              (group + 8) * 8 + pair + 1};
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = d[places[i]];
  cuda::multiply_tiles(sums, left, right);
  for (int i = 0; i < 4; ++i) d[places[i]] = sums[i];
}

std::vector<__nv_bfloat16> random_tile(TestRandom& random, std::int64_t count) {
  std::vector<__nv_bfloat16> tile;
  for (const int value : random.integers(count, -100, 100))
    tile.push_back(__float2bfloat16_rn(static_cast<float>(value)));
  return tile;
}

TEST(EmulatedTensorCore, ProductAgreesWithPlainLoops) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  const auto a = random_tile(random, 256), b = random_tile(random, 128);
  const DeviceArray<__nv_bfloat16> device_a(a), device_b(b);
  const DeviceArray<float> d(std::vector<float>(128, 0.5f));
  EXPECT_EQ(run({dim3(1), dim3(32)}, product, device_a.data(), device_b.data(), d.data()), "");
  const auto values = d.values();
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      float sum = 0.5f;
      for (int k = 0; k < 16; ++k)
        sum += __bfloat162float(a[row * 16 + k]) * __bfloat162float(b[k * 8 + column]);
      EXPECT_EQ(values[row * 8 + column], sum) << row << " " << column;
    }
}

// Four tiles [8, 8] of numbers, tile t row r column c being 64 t + 8 r + c, through shared memory with
// rows `stride` elements apart.
__global__ void load(std::uint32_t* out, bool transposed, int stride, int offset) {
  auto* elements = reinterpret_cast<std::uint16_t*>(dynamic_shared_memory());
  for (unsigned i = threadIdx.x; i < 256; i += 32)
    elements[i / 8 * stride + i % 8 + offset] = static_cast<std::uint16_t>(i);
  __syncwarp();
  std::uint32_t tiles[4];
  const void* row = elements + threadIdx.x * stride + offset;
  if (transposed)
    cuda::load_tiles_transposed(tiles, row);
  else
    cuda::load_tiles(tiles, row);
  for (int i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = tiles[i];
}

TEST(EmulatedTensorCore, TilesAreLoadedAsDocumented) {
  const DeviceArray<std::uint32_t> out(128);
  for (const bool transposed : {false, true}) {
    EXPECT_EQ(run({dim3(1), dim3(32), 32 * 48}, load, out.data(), transposed, 24, 0), "");
    const auto values = out.values();
    for (unsigned lane = 0; lane < 32; ++lane)
      for (unsigned tile = 0; tile < 4; ++tile) {
        const unsigned group = lane / 4, pair = 2 * (lane % 4);
        const unsigned low = 64 * tile + (transposed ? 8 * pair + group : 8 * group + pair);
        EXPECT_EQ(values[lane * 4 + tile], low | (low + (transposed ? 8 : 1)) << 16) << lane;
      }
  }
}

TEST(EmulatedTensorCore, MisalignedAndForeignRowsAreFound) {
  const DeviceArray<std::uint32_t> out(128);
  EXPECT_TRUE(
      says(run({dim3(1), dim3(32), 4096}, load, out.data(), false, 24, 4), "not aligned to 16 bytes"));
  EXPECT_TRUE(says(run({dim3(1), dim3(32), 4096}, load, out.data(), true, 20, 0), "not aligned to 16 bytes"));
  EXPECT_TRUE(says(run(
                       {dim3(1), dim3(32), 8192 - 16},
                       +[](std::uint32_t*) {
                         std::uint32_t tiles[4];
                         cuda::load_tiles(tiles, dynamic_shared_memory() + 256 * threadIdx.x + 240);
                       },
                       out.data()),
                   "not the block's shared memory"));
}

// Three groups of one copy each; `newest` may still be under way when shared memory is read.
template <int newest>
__global__ void copy_three(const float4* from, float4* out, bool valid) {
  __shared__ float4 shared[3];
  for (int i = 0; i < 3; ++i) {
    cuda::start_copy_to_shared(shared + i, from + i, valid);
    cuda::close_copy_group();
  }
  cuda::wait_for_copies<newest>();
  for (int i = 0; i < 3; ++i) out[i] = shared[i];
}

std::string copied(void (*kernel)(const float4*, float4*, bool), bool valid) {
  const DeviceArray<float4> from({make_float4(1, 1, 1, 1), make_float4(2, 2, 2, 2), make_float4(3, 3, 3, 3)});
  const DeviceArray<float4> out(3);
  EXPECT_EQ(run({dim3(1), dim3(1)}, kernel, from.data(), out.data(), valid), "");
  std::string result;
  for (const float4& value : out.values())
    result += (result.empty() ? "" : " ") +
              (std::isnan(value.w) ? "nan" : std::to_string(static_cast<int>(value.w)));
  return result;
}

TEST(EmulatedTensorCore, CopiesArriveWhenTheirGroupIsWaitedFor) {
  EXPECT_EQ(copied(copy_three<0>, true), "1 2 3");
  EXPECT_EQ(copied(copy_three<0>, false), "0 0 0");
  EXPECT_EQ(copied(copy_three<1>, true), "1 2 nan");
  EXPECT_EQ(copied(copy_three<2>, true), "1 nan nan");
  EXPECT_EQ(copied(copy_three<3>, true), "nan nan nan");
}

}  // namespace
}  // namespace cola::emulation
