#include "io/directory_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "support/test_folder.h"

namespace cola {
namespace {

/// Another process that holds the lock of a folder for some seconds.
class Holder {
 public:
  Holder(const std::string& directory, unsigned seconds) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    process_ = ::fork();
    if (process_ == 0) {
      const DirectoryLock lock(directory);
      if (::write(ends[1], "!", 1) == 1) ::sleep(seconds);
      std::_Exit(0);
    }
    char word = 0;
    EXPECT_EQ(::read(ends[0], &word, 1), 1);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~Holder() { kill(); }
  void kill() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
  }

 private:
  pid_t process_;
};

TEST(DirectoryLock, RefusesASecondProcess) {
  const TestFolder folder;
  const Holder holder(folder.path("run"), 60);
  try {
    const DirectoryLock lock(folder.path("run"));
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_EQ(error.what(), folder.path("run") + ": another job is working in it");
  }
}

TEST(DirectoryLock, EndsWithItsProcessHoweverItEnds) {
  const TestFolder folder;
  Holder holder(folder.path("run"), 60);
  holder.kill();
  EXPECT_NO_THROW(DirectoryLock(folder.path("run")));
}

TEST(DirectoryLock, IsWaitedForWithPatience) {
  const TestFolder folder;
  const Holder holder(folder.path("run"), 1);
  EXPECT_NO_THROW(DirectoryLock(folder.path("run"), std::chrono::seconds(60)));
}

TEST(DirectoryLock, NeedsAFolder) {
  const TestFolder folder;
  folder.write("file", "");
  EXPECT_THROW(DirectoryLock(folder.path("file/run")), FileError);
}

/// From here on the kernel refuses this process locks, as a file system without them makes it do.
void lose_locks(unsigned reason) {
  constexpr unsigned second_argument = offsetof(seccomp_data, args) + sizeof(std::uint64_t);
  std::array<sock_filter, 6> filter{{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 3),
                                     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, second_argument),
                                     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_SETLK, 0, 1),
                                     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | reason),
                                     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  const sock_fprog program{filter.size(), filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    std::perror("seccomp");
}

// Lustre without the mount option flock, NFS without its lock service, and others.
TEST(DirectoryLock, WarnsWhereTheFileSystemHasNoLocks) {
  const TestFolder folder;
  const auto lock = [&](int reason) {
    lose_locks(static_cast<unsigned>(reason));
    DirectoryLock(folder.path("run"));
    std::exit(0);
  };
  for (const int reason : {ENOSYS, ENOLCK, EOPNOTSUPP})
    EXPECT_EXIT(lock(reason), ::testing::ExitedWithCode(0),
                "warning: .*run/lock: this file system has no locks .*see to it that only one job");
}

TEST(DirectoryLock, FailsWhereLockingFailsOtherwise) {
  const TestFolder folder;
  const auto lock = [&] {
    lose_locks(EIO);
    try {
      DirectoryLock(folder.path("run"));
    } catch (const FileError& error) {
      std::fputs(error.what(), stderr);
      std::exit(1);
    }
    std::exit(0);
  };
  EXPECT_EXIT(lock(), ::testing::ExitedWithCode(1), "run/lock: cannot be locked: Input/output error");
}

}  // namespace
}  // namespace cola
