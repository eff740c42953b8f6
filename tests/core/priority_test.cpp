#include "core/priority.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace cola {
namespace {

// Of the calling thread, as the kernel counts: a larger one waits longer.
int niceness() {
  return getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)));
}
long disk_priority() {
  constexpr int one_thread = 1;
  return syscall(SYS_ioprio_get, one_thread, 0);
}

TEST(Priority, IsLoweredForCoresAndDiskOfTheThreadThatAsksAlone) {
  const int before = niceness();
  const long disk_before = disk_priority();
  std::jthread([&] {
    lower_priority_of_this_thread();
    EXPECT_EQ(niceness(), std::min(before + 15, 19));
    EXPECT_EQ(disk_priority(), 2 << 13 | 7);  // the last level of the class "best effort"
  }).join();
  EXPECT_EQ(niceness(), before);
  EXPECT_EQ(disk_priority(), disk_before);
}

}  // namespace
}  // namespace cola
