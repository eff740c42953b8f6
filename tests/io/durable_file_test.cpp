#include "io/files/durable_file.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "core/error.h"
#include "support/refused_call.h"
#include "support/test_folder.h"

namespace cola {
namespace {

TEST(DurableFile, MakesFoldersWhereTheyAreMissing) {
  const TestFolder folder;
  make_durable_folder(folder.path("a/b/c"));
  EXPECT_TRUE(std::filesystem::is_directory(folder.path("a/b/c")));
  EXPECT_NO_THROW(make_durable_folder(folder.path("a/b/c/")));
  folder.write("file", "");
  for (const char* name : {"file", "file/below"})
    EXPECT_THROW(make_durable_folder(folder.path(name)), FileError) << name;
}

// The name of a new folder is durable once the folder above it is flushed.
TEST(DurableFile, FlushesWhatANewFolderLiesIn) {
  const TestFolder folder;
  const auto make = [&](const char* name) {
    refuse_call(SYS_fsync, EIO);
    try {
      make_durable_folder(folder.path(name));
    } catch (const FileError& error) {
      std::fputs(error.what(), stderr);
      std::exit(1);
    }
    std::exit(0);
  };
  EXPECT_EXIT(make("new"), ::testing::ExitedWithCode(1),
              "cannot flush the folder to disk: Input/output error");
  std::filesystem::create_directory(folder.path("old"));
  EXPECT_EXIT(make("old"), ::testing::ExitedWithCode(0), "");
}

// NFS, FUSE and CIFS, each in its way.
TEST(DurableFile, DoesWithoutTheFlushOfFoldersThatAFileSystemDoesNotKnow) {
  const TestFolder folder;
  const auto flush = [&](int reason) {
    refuse_call(SYS_fsync, reason);
    synchronize_folder(folder.path(""));
    std::exit(0);
  };
  for (const int reason : {EINVAL, ENOSYS, EOPNOTSUPP, ENOTTY})
    EXPECT_EXIT(flush(reason), ::testing::ExitedWithCode(0), "") << reason;
}

}  // namespace
}  // namespace cola
