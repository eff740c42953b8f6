#include "core/buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "core/error.h"
#include "support/device_test.h"

namespace cola {
namespace {

class BufferTest : public DeviceTest {};

TEST_P(BufferTest, BytesTravelToTheDeviceAndBack) {
  std::vector<std::int32_t> values(1001), back(1001);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int32_t>(i * i);
  const std::size_t bytes = values.size() * sizeof(std::int32_t);
  const Buffer first(device(), bytes), second(device(), bytes);
  device().copy_from_host(first.data(), values.data(), bytes);
  device().copy_on_device(second.data(), first.data(), bytes);
  device().fill_bytes(first.data(), 0, bytes);
  device().copy_to_host(back.data(), second.data(), bytes);
  device().synchronize();
  EXPECT_EQ(back, values);
  device().copy_to_host(back.data(), first.data(), bytes);
  device().synchronize();
  EXPECT_EQ(back, std::vector<std::int32_t>(1001, 0));
}

TEST_P(BufferTest, MemoryIsAligned) {
  for (const std::size_t bytes : {1, 100, 4096, 1000003}) {
    const Buffer buffer(device(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 256, 0u);
    EXPECT_EQ(buffer.bytes(), bytes);
  }
}

TEST_P(BufferTest, OwnershipMoves) {
  Buffer first(device(), 512);
  void* const memory = first.data();
  Buffer second(std::move(first));
  EXPECT_EQ(second.data(), memory);
  EXPECT_EQ(first.data(), nullptr);
  EXPECT_EQ(first.bytes(), 0u);
  Buffer third(device(), 256);
  third = std::move(second);
  EXPECT_EQ(third.data(), memory);
  EXPECT_EQ(third.bytes(), 512u);
  EXPECT_EQ(third.tensor(DataType::bfloat16, 256).describe(), "bf16[256]");
}

TEST_P(BufferTest, DeviceNamesItself) {
  EXPECT_EQ(device().kind(), GetParam());
  EXPECT_FALSE(device().name().empty());
}

TEST_P(BufferTest, RefusesMoreMemoryThanThereIs) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the address sanitizer ends the program at such a request";
#endif
  EXPECT_THROW(Buffer(device(), std::size_t{1} << 60), DeviceError);
}

INSTANTIATE_TEST_SUITE_P(Devices, BufferTest, every_device(), device_label);

}  // namespace
}  // namespace cola
