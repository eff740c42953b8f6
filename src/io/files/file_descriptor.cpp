#include "io/files/file_descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace cola {

namespace {

constexpr std::size_t block_bytes = std::size_t{4} << 20;

// What goes past the system's cache begins and ends on multiples of this: no disk's sectors are larger.
constexpr std::size_t page_bytes = 4096;

[[noreturn]] void fail(const std::string& path, std::string_view action) {
  throw FileError("{}: cannot {}: {}", path, action, system_reason(errno));
}

// Repeats a system call that a signal interrupted: a run is told to stop by signals.
template <typename Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// Has a descriptor pass the system's cache by for as long as it lives.
class CacheBypass {
 public:
  explicit CacheBypass(int descriptor)
      : descriptor_(descriptor),
        flags_(::fcntl(descriptor, F_GETFL)),
        works_(flags_ >= 0 && ::fcntl(descriptor, F_SETFL, flags_ | O_DIRECT) == 0) {}
  ~CacheBypass() {
    const int reason = errno;  // of a system call in between
    if (works_) ::fcntl(descriptor_, F_SETFL, flags_);
    errno = reason;
  }
  CacheBypass(const CacheBypass&) = delete;
  CacheBypass& operator=(const CacheBypass&) = delete;

  bool works() const { return works_; }

 private:
  int descriptor_, flags_;
  bool works_;
};

// How many of these bytes can go past the cache: all that fill pages, if they begin on one.
std::size_t bytes_on_pages(std::int64_t offset, std::span<const std::byte> bytes) {
  const bool aligned = offset % static_cast<std::int64_t>(page_bytes) == 0 &&
                       reinterpret_cast<std::uintptr_t>(bytes.data()) % page_bytes == 0;
  return aligned ? bytes.size() / page_bytes * page_bytes : 0;
}

// Whether it is not the disk that is in trouble: this file system, or this memory, cannot do without the
// cache.
bool needs_cache(int error_number) {
  return error_number == EINVAL || error_number == EFAULT || error_number == EOPNOTSUPP;
}

struct PageAligned {
  void operator()(std::byte* memory) const { std::free(memory); }
};
std::unique_ptr<std::byte, PageAligned> allocate_pages(std::size_t bytes) {
  std::unique_ptr<std::byte, PageAligned> memory(static_cast<std::byte*>(
      std::aligned_alloc(page_bytes, (bytes + page_bytes - 1) / page_bytes * page_bytes)));
  if (!memory) throw std::bad_alloc();
  return memory;
}

}  // namespace

std::string system_reason(int error_number) {
  return std::generic_category().message(error_number);
}

FileDescriptor::FileDescriptor(const std::string& path, int flags) : path_(path) {
  descriptor_ = uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); });
  if (descriptor_ < 0) fail(path_, "open");
}

FileDescriptor FileDescriptor::open_to_read(const std::string& path) {
  return {path, O_RDONLY};
}
FileDescriptor FileDescriptor::create(const std::string& path) {
  return {path, O_WRONLY | O_CREAT | O_TRUNC};
}
FileDescriptor FileDescriptor::open_to_write(const std::string& path) {
  return {path, O_RDWR};
}
FileDescriptor FileDescriptor::open_or_create(const std::string& path) {
  return {path, O_RDWR | O_CREAT};
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bypasses_cache_(other.bypasses_cache_) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(bypasses_cache_, other.bypasses_cache_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FileVersion FileDescriptor::version() const {
  constexpr std::int64_t second = 1'000'000'000;
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail(path_, "read the size");
  return {status.st_size, second * status.st_mtim.tv_sec + status.st_mtim.tv_nsec, status.st_ino};
}

// Reads or writes some of the bytes, as the system call does.
template <typename Byte, typename SystemCall>
std::int64_t FileDescriptor::transfer(std::int64_t offset, std::span<Byte> bytes,
                                      SystemCall system_call) const {
  const auto call = [&](std::size_t count) {
    return uninterrupted([&] { return system_call(descriptor_, bytes.data(), count, offset); });
  };
  if (const std::size_t count = bypasses_cache_ ? bytes_on_pages(offset, bytes) : 0; count > 0) {
    const CacheBypass bypass(descriptor_);
    if (bypass.works()) {
      const ssize_t done = call(count);
      if (done >= 0 || !needs_cache(errno)) return done;
    }
  }
  return call(bytes.size());
}

void FileDescriptor::write_at(std::int64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::int64_t written = transfer(offset, bytes, ::pwrite);
    if (written < 0) fail(path_, "write");
    offset += written;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

std::size_t FileDescriptor::read_some(std::int64_t offset, std::span<std::byte> bytes) const {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::int64_t count =
        transfer(offset + static_cast<std::int64_t>(done), bytes.subspan(done), ::pread);
    if (count < 0) fail(path_, "read");
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

void FileDescriptor::read_at(std::int64_t offset, std::span<std::byte> bytes) const {
  const std::size_t count = read_some(offset, bytes);
  if (count < bytes.size())
    throw FileError("{}: ends at byte {}, more was expected", path_,
                    offset + static_cast<std::int64_t>(count));
}

void FileDescriptor::start_flush(std::int64_t offset, std::size_t bytes) noexcept {
  ::sync_file_range(descriptor_, offset, static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE);
}

void FileDescriptor::release(std::int64_t offset, std::size_t bytes) noexcept {
  uninterrupted([&] {
    return ::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                       static_cast<off_t>(bytes));
  });
}

void FileDescriptor::forget_cached() const noexcept {
  ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
}

void FileDescriptor::for_each_block(
    const std::function<void(std::int64_t, std::span<const std::byte>)>& visit) const {
  const std::size_t size = std::clamp(static_cast<std::size_t>(bytes()), std::size_t{1}, block_bytes);
  const auto memory = allocate_pages(size);
  const std::span<std::byte> block(memory.get(), size);
  std::int64_t offset = 0;
  while (true) {
    const std::int64_t count = transfer(offset, block, ::pread);
    if (count < 0) fail(path_, "read");
    if (count == 0) return;
    visit(offset, block.first(static_cast<std::size_t>(count)));
    offset += count;
  }
}

void FileDescriptor::synchronize() {
  if (uninterrupted([&] { return ::fsync(descriptor_); }) != 0) fail(path_, "flush to disk");
}

void FileDescriptor::close() {
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) fail(path_, "close");
}

}  // namespace cola
