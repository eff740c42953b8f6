// A library to preload (LD_PRELOAD) that makes chosen system calls fail with EIO, as those of a failing disk
// do.
//
// COLA_FAILING_CALLS holds rules, divided by commas: OPERATION[@CALLER]:PATH[:FIRST[:COUNT]]
//   OPERATION  open, read, write, truncate, fsync, close, access, rename or remove
//   CALLER     part of the name of the library or program that calls, say libhdf5
//   PATH       how the file's path ends; that of a rename is the old one
//   FIRST      the first of the calls that match which fails (1)
//   COUNT      so many fail from there on (1; 0: all)
// OPERATION can also be slow_fsync: those calls take COLA_SLOW_SECONDS longer instead (3).
// COLA_FAILING_CALLS_LOG names a file that gets a line for each call that failed: the rule's number, from 0,
// OPERATION, CALLER in full and the file's path. A test can so tell that its rules have met a call.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>

namespace {

struct Rule {
  std::string operation, caller, path;
  long first = 1, count = 1;
  std::atomic<long> calls = 0;

  bool matches(std::string_view made, std::string_view by, std::string_view where) const {
    return made == operation && where.ends_with(path) && by.find(caller) != by.npos;
  }
  bool strikes() {
    const long call = ++calls;
    return call >= first && (count == 0 || call < first + count);
  }
};

// Takes what stands before `divider`, or all, from the front of a text.
std::string take_until(std::string_view& text, char divider) {
  const std::string part(text.substr(0, text.find(divider)));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

class Rules {
 public:
  Rules() {
    const char* variable = std::getenv("COLA_FAILING_CALLS");
    for (std::string_view rest = variable ? variable : ""; !rest.empty();) add(take_until(rest, ','));
  }

  bool strike(std::string_view operation, std::string_view caller, const std::string& path) {
    for (std::size_t i = 0; i < rules_.size(); ++i)
      if (rules_[i].matches(operation, caller, path) && rules_[i].strikes()) {
        note(std::to_string(i) + " " + std::string(operation) + " " + std::string(caller) + " " + path +
             "\n");
        return true;
      }
    return false;
  }
  bool empty() const { return rules_.empty(); }

 private:
  void add(std::string_view text) {
    Rule& rule = rules_.emplace_back();
    std::string operation = take_until(text, ':');
    rule.path = take_until(text, ':');
    std::string_view rest = operation;
    rule.operation = take_until(rest, '@');
    rule.caller = rest;
    if (const std::string first = take_until(text, ':'); !first.empty()) rule.first = std::stol(first);
    if (!text.empty()) rule.count = std::stol(std::string(text));
  }

  // By the system's own calls: those of the C library lead back here.
  static void note(const std::string& line) {
    const char* log = std::getenv("COLA_FAILING_CALLS_LOG");
    if (!log) return;
    const long file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    syscall(SYS_write, file, line.data(), line.size());
    syscall(SYS_close, file);
  }

  std::deque<Rule> rules_;  // never moved
};

Rules& rules() {
  static Rules all;
  return all;
}

std::string path_of(int descriptor) {
  char path[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t bytes = readlink(link.c_str(), path, sizeof path);
  return bytes < 0 ? "" : std::string(path, static_cast<std::size_t>(bytes));
}

std::string path_below(int folder, const char* name) {
  return folder == AT_FDCWD || name[0] == '/' ? name : path_of(folder) + "/" + name;
}

// Whether a rule is meant for this call.
bool is_struck(const char* operation, const void* caller, const std::string& path) {
  Dl_info place{};
  dladdr(caller, &place);
  return rules().strike(operation, place.dli_fname ? place.dli_fname : "", path);
}

// Whether this call is to fail; errno says so then.
bool fails(const char* operation, const void* caller, const std::string& path) {
  if (!is_struck(operation, caller, path)) return false;
  errno = EIO;
  return true;
}

bool fails(const char* operation, const void* caller, int descriptor) {
  const int reason = errno;
  const bool struck = !rules().empty() && fails(operation, caller, path_of(descriptor));
  if (!struck) errno = reason;
  return struck;
}

// What would be called without this library.
template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

using Read = ssize_t(int, void*, size_t);
using ReadAt = ssize_t(int, void*, size_t, off_t);
using Write = ssize_t(int, const void*, size_t);
using WriteAt = ssize_t(int, const void*, size_t, off_t);
using Truncate = int(int, off_t);
using OfDescriptor = int(int);
using OfPath = int(const char*);
using Open = int(const char*, int, ...);

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  if (fails("open", __builtin_return_address(0), std::string(path))) return -1;
  std::va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0;
  va_end(more);
  static Open* const original = next<Open>("open");
  return original(path, flags, mode);
}

ssize_t read(int file, void* bytes, size_t count) {
  if (fails("read", __builtin_return_address(0), file)) return -1;
  static Read* const original = next<Read>("read");
  return original(file, bytes, count);
}

ssize_t pread(int file, void* bytes, size_t count, off_t offset) {
  if (fails("read", __builtin_return_address(0), file)) return -1;
  static ReadAt* const original = next<ReadAt>("pread");
  return original(file, bytes, count, offset);
}

ssize_t write(int file, const void* bytes, size_t count) {
  if (fails("write", __builtin_return_address(0), file)) return -1;
  static Write* const original = next<Write>("write");
  return original(file, bytes, count);
}

ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset) {
  if (fails("write", __builtin_return_address(0), file)) return -1;
  static WriteAt* const original = next<WriteAt>("pwrite");
  return original(file, bytes, count, offset);
}

int ftruncate(int file, off_t size) noexcept {
  if (fails("truncate", __builtin_return_address(0), file)) return -1;
  static Truncate* const original = next<Truncate>("ftruncate");
  return original(file, size);
}

int fsync(int file) {
  if (!rules().empty() && is_struck("slow_fsync", __builtin_return_address(0), path_of(file))) {
    const char* seconds = std::getenv("COLA_SLOW_SECONDS");
    sleep(seconds ? static_cast<unsigned>(std::stoul(seconds)) : 3);
  }
  if (fails("fsync", __builtin_return_address(0), file)) return -1;
  static OfDescriptor* const original = next<OfDescriptor>("fsync");
  return original(file);
}

// As the system does it: the descriptor is gone although the call failed.
int close(int file) {
  const bool struck = fails("close", __builtin_return_address(0), file);
  static OfDescriptor* const original = next<OfDescriptor>("close");
  const int result = original(file);
  if (struck) errno = EIO;
  return struck ? -1 : result;
}

int rename(const char* from, const char* to) noexcept {
  if (fails("rename", __builtin_return_address(0), std::string(from))) return -1;
  static auto* const original = next<int(const char*, const char*)>("rename");
  return original(from, to);
}

int access(const char* path, int mode) noexcept {
  if (fails("access", __builtin_return_address(0), std::string(path))) return -1;
  static auto* const original = next<int(const char*, int)>("access");
  return original(path, mode);
}

int unlink(const char* path) noexcept {
  if (fails("remove", __builtin_return_address(0), std::string(path))) return -1;
  static OfPath* const original = next<OfPath>("unlink");
  return original(path);
}

int remove(const char* path) noexcept {
  if (fails("remove", __builtin_return_address(0), std::string(path))) return -1;
  static OfPath* const original = next<OfPath>("remove");
  return original(path);
}

int unlinkat(int folder, const char* name, int flags) noexcept {
  if (fails("remove", __builtin_return_address(0), path_below(folder, name))) return -1;
  static auto* const original = next<int(int, const char*, int)>("unlinkat");
  return original(folder, name, flags);
}

// Other names of the same: programs and libraries that ask for files beyond 2 GiB use these.
int open64(const char*, int, ...) __attribute__((alias("open")));
ssize_t pread64(int, void*, size_t, off64_t) __attribute__((alias("pread")));
ssize_t pwrite64(int, const void*, size_t, off64_t) __attribute__((alias("pwrite")));
int ftruncate64(int, off64_t) noexcept __attribute__((alias("ftruncate")));

}  // extern "C"
