#include "core/host_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "support/test_folder.h"

namespace cola {
namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

// A made-up system of files, with 1000 MiB of which 800 are left.
class HostMemoryTest : public ::testing::Test {
 protected:
  HostMemoryTest() {
    write("proc/meminfo", "MemTotal:  1024000 kB\nMemFree: 1 kB\nMemAvailable:   819200 kB\n");
  }

  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(folder_.path(path)).parent_path());
    folder_.write(path, text);
  }
  void write(const std::string& path, std::size_t mebibytes) const {
    write(path, std::to_string(mebibytes * mebibyte) + '\n');
  }
  void expect(std::size_t total, std::size_t available) const {
    const HostMemory memory = read_host_memory(folder_.path(""));
    EXPECT_EQ(memory.total_bytes, total * mebibyte);
    EXPECT_EQ(memory.available_bytes, available * mebibyte);
  }

  TestFolder folder_;
};

TEST_F(HostMemoryTest, IsTheHostsWithoutGroups) {
  expect(1000, 800);
}

TEST_F(HostMemoryTest, IsWhatTheTightestGroupOfVersion2MayTake) {
  write("proc/self/cgroup", "0::/system.slice/job_7/step_0/task_1\n");
  write("sys/fs/cgroup/system.slice/memory.max", "max\n");
  write("sys/fs/cgroup/system.slice/job_7/memory.max", 600);
  write("sys/fs/cgroup/system.slice/job_7/memory.current", 350);
  write("sys/fs/cgroup/system.slice/job_7/memory.stat",
        "anon 104857600\nfile 1\nactive_file 104857600\ninactive_file 52428800\n");
  write("sys/fs/cgroup/system.slice/job_7/step_0/memory.max", "max\n");
  write("sys/fs/cgroup/system.slice/job_7/step_0/task_1/memory.max", 700);
  write("sys/fs/cgroup/system.slice/job_7/step_0/task_1/memory.current", 100);
  expect(600, 400);
}

TEST_F(HostMemoryTest, IsWhatAContainersGroupOfVersion1MayTake) {
  // Seen from inside, the group's own name is not below the mount.
  write("proc/self/cgroup", "5:cpu,cpuacct:/docker/ab\n4:hugetlb,memory:/docker/ab\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", 500);
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", 300);
  write("sys/fs/cgroup/memory/memory.stat", "inactive_file 1048576\ntotal_inactive_file 104857600\n");
  expect(500, 300);
}

TEST_F(HostMemoryTest, IgnoresLimitsBeyondTheHost) {
  write("proc/self/cgroup", "4:memory:/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", 300);
  expect(1000, 800);
}

TEST(HostMemory, OfThisHostIsKnown) {
  const HostMemory memory = read_host_memory();
  EXPECT_GT(memory.available_bytes, 0u);
  EXPECT_LE(memory.available_bytes, memory.total_bytes);
}

}  // namespace
}  // namespace cola
