#include "io/files/directory_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>

#include "core/error.h"
#include "core/host.h"
#include "support/refused_call.h"
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
  pid_t process() const { return process_; }
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
    EXPECT_EQ(error.what(), fmt::format("{}: another job is working in it (process {} on {})",
                                        folder.path("run"), holder.process(), host_name()));
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

TEST(DirectoryLock, TakesBackTheFoldersItHasMade) {
  const TestFolder folder;
  DirectoryLock lock(folder.path("runs/deep/run"));
  lock.withdraw();
  EXPECT_EQ(folder.names(), std::vector<std::string>{});
}

TEST(DirectoryLock, LeavesFoldersThatWereThereOrHoldMore) {
  const TestFolder folder;
  DirectoryLock first(folder.path("run"));
  folder.write("run/config.yaml", "");
  first.withdraw();
  EXPECT_TRUE(std::filesystem::exists(folder.path("run/lock")));
  std::filesystem::remove(folder.path("run/config.yaml"));
  DirectoryLock second(folder.path("run"));
  second.withdraw();
  EXPECT_TRUE(std::filesystem::exists(folder.path("run/lock")));
}

/// As a file system without locks does.
void lose_locks(int reason) {
  refuse_call(SYS_fcntl, F_SETLK, reason);
}

// Lustre without the mount option flock, NFS without its lock service, and others.
TEST(DirectoryLock, WarnsWhereTheFileSystemHasNoLocks) {
  const TestFolder folder;
  const auto lock = [&](int reason) {
    lose_locks(reason);
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
