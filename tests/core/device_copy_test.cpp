#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "core/buffer.h"
#include "core/device.h"
#include "support/device_test.h"

namespace cola {
namespace {

class DeviceCopyTest : public DeviceTest {};

// Host memory of a device, given back at the end.
class HostMemory {
 public:
  HostMemory(Device& device, std::size_t bytes) : device_(device), memory_(device.allocate_host(bytes)) {
    std::memset(memory_, 0xff, bytes);
  }
  ~HostMemory() { device_.free_host(memory_); }
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;
  const unsigned char* bytes() const { return static_cast<const unsigned char*>(memory_); }
  void* data() const { return memory_; }

 private:
  Device& device_;
  void* memory_;
};

TEST_P(DeviceCopyTest, StartedCopyHoldsWhatEarlierKernelsWroteAndNothingLater) {
  constexpr std::size_t bytes = std::size_t{48} << 20;
  const Buffer source(device(), bytes);
  const HostMemory copied(device(), bytes);
  for (const int value : {7, 9}) {
    device().fill_bytes(source.data(), value, bytes);
    const auto copy = device().start_copy_to_host(copied.data(), source.data(), bytes);
    copy->wait();
    device().fill_bytes(source.data(), 1, bytes);  // would be seen if the copy were not waited for
    EXPECT_TRUE(copy->done());
    for (std::size_t i = 0; i < bytes; i += 4093) ASSERT_EQ(copied.bytes()[i], value) << i;
    ASSERT_EQ(copied.bytes()[bytes - 1], value);
  }
}

TEST_P(DeviceCopyTest, HostMemoryIsAligned) {
  for (const std::size_t bytes : {1, 300, 70001}) {
    const HostMemory memory(device(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % 256, 0u);
  }
  const HostMemory large(device(), std::size_t{8} << 20);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(large.data()) % 4096, 0u);
}

TEST_P(DeviceCopyTest, RepeatedWorkRunsEveryTimeOnWhatIsThereThen) {
  constexpr std::size_t bytes = 1024;
  const Buffer source(device(), bytes), target(device(), bytes);
  std::vector<unsigned char> back(bytes);
  const auto work = device().make_repeated_work();
  int given = 0;
  for (int call = 1; call <= 4; ++call) {
    device().fill_bytes(source.data(), call, bytes);
    work->run([&] {
      ++given;
      device().copy_on_device(target.data(), source.data(), bytes);
    });
    device().copy_to_host(back.data(), target.data(), bytes);
    EXPECT_EQ(back, std::vector<unsigned char>(bytes, static_cast<unsigned char>(call)));
  }
  // A GPU is given it once as it is and once to be recorded.
  EXPECT_EQ(given, device().kind() == DeviceKind::cuda ? 2 : 4);
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceCopyTest, every_device(), device_label);

}  // namespace
}  // namespace cola
