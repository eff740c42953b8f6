// The compiler's checks in kernels. Not built with sanitizers, which do the same in their own way.
#include <gtest/gtest.h>

#include "device_array.h"

namespace cola::emulation {
namespace {

__global__ void load_four(const float* from, float4* out) {
  *out = *reinterpret_cast<const float4*>(from);
}
__global__ void write_beyond(int* out, int index) {
  __shared__ int values[4];
  values[index] = 1;
  *out = values[0];
}
__global__ void shift(int* out, int distance) {
  *out = 1 << distance;
}

__global__ void load_one(const float* from, int bytes, float* out) {
  *out = *reinterpret_cast<const float*>(reinterpret_cast<const char*>(from) + bytes);
}

TEST(EmulatedCode, MisalignmentBoundsAndShiftsAreChecked) {
  const DeviceArray<float> from(std::vector<float>(8, 1.0f));
  const DeviceArray<float4> four(1);
  const DeviceArray<int> out(1);
  const cuda::LaunchShape one{dim3(1), dim3(1)};
  const DeviceArray<float> single(1);
  EXPECT_EQ(run(one, load_four, from.data() + 4, four.data()), "");
  EXPECT_EQ(run(one, load_one, from.data(), 4, single.data()), "");
  EXPECT_TRUE(says(run(one, load_one, from.data(), 2, single.data()), "aligned to 4 bytes"));
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run(one, load_four, from.data() + 1, four.data()), "aligned to 16 bytes");
  EXPECT_EQ(run(one, write_beyond, out.data(), 3), "");
  EXPECT_TRUE(says(run(one, write_beyond, out.data(), 4), "index 4 is outside 'int [4]'"));
  EXPECT_EQ(run(one, shift, out.data(), 31), "");
  EXPECT_TRUE(says(run(one, shift, out.data(), 32), "a shift of 'int' by 32"));
}

}  // namespace
}  // namespace cola::emulation
