#include "io/checkpoints/staged_shard.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/error.h"
#include "io/files/checksum.h"
#include "support/test_folder.h"

namespace cola {
namespace {

namespace fs = std::filesystem;

// A disk that holds other bytes than it was given, in the moment before the file is read back.
class BadDisk {
 public:
  explicit BadDisk(const std::string& path)
      : thread_([path](const std::stop_token& stop) { spoil(path, stop); }) {}

 private:
  static void spoil(const std::string& path, const std::stop_token& stop) {
    std::error_code missing;
    while (!stop.stop_requested() && (fs::file_size(path, missing) == 0 || missing))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).write("spoilt", 6);
  }

  std::jthread thread_;
};

class StagedShardTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string bytes(1 << 20, 'a');
    fs::create_directories(folder_.path("local"));
    folder_.write("local/shard-00000.h5", bytes);
    record_.file = "shard-00000.h5";
    record_.bytes = bytes.size();
    record_.checksum = checksum_of(bytes);
  }
  // So slow that there is time between the writing and the end.
  void drain(bool verify) {
    drain_shard(folder_.path("local"), folder_.path("shared"), record_, verify,
                WritePace(2.0 * (1 << 20), {}, unlimited_));
  }

  TestFolder folder_;
  ShardRecord record_;
  std::atomic<bool> unlimited_ = false;
};

TEST_F(StagedShardTest, LiesInOnePlaceByWhateverNameTheRunIsReached) {
  fs::create_directories(folder_.path("runs/tiny"));
  fs::create_directory_symlink(folder_.path("runs"), folder_.path("link"));
  const std::string place = staging_directory("/nvme", folder_.path("runs/tiny"));
  EXPECT_EQ(staging_directory("/nvme", folder_.path("link/tiny/")), place);
  EXPECT_EQ(staging_directory("/nvme", folder_.path("link/../runs/tiny")), place);
  EXPECT_NE(staging_directory("/nvme", folder_.path("runs/other")), place);
}

TEST_F(StagedShardTest, IsReadBackWhereThatIsAskedFor) {
  for (const bool verify : {false, true}) {
    drain(verify);
    EXPECT_EQ(checksum_of_file(folder_.path("shared/shard-00000.h5")), record_.checksum);
  }
  fs::remove_all(folder_.path("shared"));
  const BadDisk disk(folder_.path("shared/shard-00000.h5.tmp"));
  try {
    drain(true);
    ADD_FAILURE() << "nobody saw it";
  } catch (const FileError& error) {
    EXPECT_NE(std::string(error.what()).find("shared/shard-00000.h5.tmp: reads back other bytes"),
              std::string::npos)
        << error.what();
  }
  EXPECT_TRUE(fs::is_empty(folder_.path("shared")));
}

TEST_F(StagedShardTest, ThatIsDamagedIsNotDrained) {
  folder_.write("local/shard-00000.h5", std::string(1 << 20, 'b'));
  EXPECT_THROW(drain(false), FileError);
  EXPECT_TRUE(fs::is_empty(folder_.path("shared")));
}

}  // namespace
}  // namespace cola
