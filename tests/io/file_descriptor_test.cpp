#include "io/files/file_descriptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "io/files/durable_file.h"
#include "support/test_folder.h"

namespace cola {
namespace {

constexpr std::size_t page = 4096;

// Random bytes that begin on a page.
class Pages {
 public:
  explicit Pages(std::size_t bytes)
      : memory_(static_cast<std::byte*>(std::aligned_alloc(page, bytes)), std::free), bytes_(bytes) {
    std::mt19937 engine(7);
    for (std::byte& byte : all()) byte = static_cast<std::byte>(engine());
  }
  std::span<std::byte> all() const { return {memory_.get(), bytes_}; }

 private:
  std::unique_ptr<std::byte, void (*)(void*)> memory_;
  std::size_t bytes_;
};

std::size_t cached_pages(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY);
  const std::size_t bytes = static_cast<std::size_t>(::lseek(descriptor, 0, SEEK_END));
  void* mapping = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor, 0);
  std::vector<unsigned char> resident((bytes + page - 1) / page);
  EXPECT_EQ(::mincore(mapping, bytes, resident.data()), 0);
  ::munmap(mapping, bytes);
  ::close(descriptor);
  return static_cast<std::size_t>(
      std::count_if(resident.begin(), resident.end(), [](unsigned char flags) { return flags & 1; }));
}

bool supports_bypass(const std::string& path) {
  constexpr decltype(statfs::f_type) file_system_in_memory = 0x01021994;
  struct statfs status {};
  const int descriptor = ::open(path.c_str(), O_RDWR | O_DIRECT);
  if (descriptor >= 0) ::close(descriptor);
  return descriptor >= 0 && ::statfs(path.c_str(), &status) == 0 && status.f_type != file_system_in_memory;
}

// Stretches that lie on pages, and others that begin or end anywhere, in memory or in the file.
void write_and_read_stretches(const std::string& path) {
  constexpr std::size_t bytes = 64 * page + 100;
  const Pages source(66 * page), back(65 * page);
  FileDescriptor file = FileDescriptor::create(path);
  file.bypass_cache();
  std::vector<std::byte> expected(bytes);
  file.write_at(0, expected);
  std::mt19937 engine(11);
  for (int trial = 0; trial < 300; ++trial) {
    const bool on_page = trial % 3 != 0;
    const std::size_t offset = engine() % bytes / (on_page ? page : 1) * (on_page ? page : 1);
    const std::size_t count = engine() % (bytes - offset + 1);
    const auto stretch = source.all().subspan(trial % 2 == 0 ? 0 : page / 2, count);
    file.write_at(static_cast<std::int64_t>(offset), stretch);
    std::copy(stretch.begin(), stretch.end(), expected.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  file.close();
  const std::string text = read_file(path);
  ASSERT_EQ(text.size(), bytes);
  EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(text)), expected));

  FileDescriptor reading = FileDescriptor::open_to_read(path);
  reading.bypass_cache();
  const auto values = back.all().first(bytes);
  reading.read_at(0, values);
  EXPECT_TRUE(std::ranges::equal(values, expected));
  std::vector<std::byte> visited;
  reading.for_each_block([&](std::int64_t offset, std::span<const std::byte> block) {
    EXPECT_EQ(offset, static_cast<std::int64_t>(visited.size()));
    visited.insert(visited.end(), block.begin(), block.end());
  });
  EXPECT_EQ(visited, expected);
}

TEST(FileDescriptorTest, TransfersAnyStretchPastTheCache) {
  const TestFolder folder;
  write_and_read_stretches(folder.path("file"));
}

TEST(FileDescriptorTest, TakesTheUsualWayWhereAFileSystemKnowsNoOther) {
  const std::string path = "/dev/shm/cola_test_" + std::to_string(::getpid());
  write_and_read_stretches(path);
  ::unlink(path.c_str());
}

TEST(FileDescriptorTest, LeavesNothingOfWholePagesInTheCache) {
  const TestFolder folder;
  const std::string path = folder.path("file");
  const Pages source(256 * page);
  FileDescriptor file = FileDescriptor::create(path);
  if (!supports_bypass(path)) GTEST_SKIP() << "the file system of " << path << " cannot do without its cache";
  file.write_at(0, source.all());
  file.synchronize();
  EXPECT_EQ(cached_pages(path), 256u);
  file.bypass_cache();
  file.write_at(0, source.all());
  EXPECT_EQ(cached_pages(path), 0u);
  FileDescriptor reading = FileDescriptor::open_to_read(path);
  reading.bypass_cache();
  reading.read_at(0, source.all());
  EXPECT_EQ(cached_pages(path), 0u);
}

}  // namespace
}  // namespace cola
