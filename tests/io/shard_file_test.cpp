#include "io/checkpoints/shard_file.h"

#include <hdf5.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <numeric>
#include <thread>

#include "io/checkpoint_fixture.h"
#include "io/files/durable_file.h"

namespace cola {
namespace {

class ShardFileTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  ParameterTable table_{odd_configuration()};
  ShardMap map_{table_, 3};
  FlatState state_ = random_state(table_, 1);
};

TEST_F(ShardFileTest, GivesBackWhatWasWritten) {
  for (int shard = 0; shard < map_.shards(); ++shard) {
    const ShardRecord record = write_shard_of(folder_.path(), state_, map_, shard);
    EXPECT_EQ(record.file, shard_name(shard));
    EXPECT_EQ(record.bytes, std::filesystem::file_size(folder_ / record.file));
    EXPECT_EQ(record.ranges, map_.ranges(shard));
    EXPECT_NO_THROW(verify_shard(folder_.path(), record));
    for (const StateTensor tensor : all_state_tensors)
      for (const ShardRange& range : record.ranges) {
        std::vector<float> values(static_cast<std::size_t>(range.elements()));
        ShardReader(folder_.path(), record).read(tensor, range.local, values);
        EXPECT_EQ(0, std::memcmp(values.data(), state_[tensor].data() + range.begin,
                                 values.size() * sizeof(float)));
      }
  }
  EXPECT_EQ(names_under(folder_.path()).size(), 3u);
}

TEST_F(ShardFileTest, IsPlainHdf5) {
  const ShardRecord record = write_shard_of(folder_.path(), state_, map_, 1);
  const hid_t file = H5Fopen((folder_ / record.file).c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  for (const char* name : {"/weights", "/exp_avg", "/exp_avg_sq"}) {
    const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT), properties = H5Dget_create_plist(dataset);
    const hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    EXPECT_EQ(H5Pget_layout(properties), H5D_CONTIGUOUS);
    EXPECT_GT(H5Tequal(type, H5T_IEEE_F32LE), 0);
    EXPECT_EQ(H5Sget_simple_extent_npoints(space), map_.shard_elements());
    H5Sclose(space);
    H5Tclose(type);
    H5Pclose(properties);
    H5Dclose(dataset);
  }
  std::int64_t shard = 0;
  const hid_t attribute = H5Aopen(file, "shard", H5P_DEFAULT);
  EXPECT_GE(H5Aread(attribute, H5T_NATIVE_INT64, &shard), 0);
  EXPECT_EQ(shard, 1);
  H5Aclose(attribute);
  H5Fclose(file);
}

// No time or place of writing gets into a file.
TEST_F(ShardFileTest, TheSameValuesMakeTheSameFile) {
  const ShardRecord first = write_shard_of(folder_ / "first", state_, map_, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_EQ(write_shard_of(folder_ / "second", state_, map_, 1).checksum, first.checksum);
}

TEST_F(ShardFileTest, DetectsFlippedBitsAndTruncations) {
  const ShardRecord record = write_shard_of(folder_.path(), state_, map_, 0);
  const std::string path = folder_ / record.file;
  std::mt19937 engine(std::random_device{}());
  for (int trial = 0; trial < 200; ++trial) {
    const std::uint64_t byte = engine() % record.bytes;
    const int bit = static_cast<int>(engine() % 8);
    flip_bit(path, byte, bit);
    const std::string message = file_error_of([&] { verify_shard(folder_.path(), record); });
    EXPECT_NE(message.find(path), std::string::npos) << message;
    flip_bit(path, byte, bit);
  }
  EXPECT_NO_THROW(verify_shard(folder_.path(), record));
  std::filesystem::resize_file(path, record.bytes - 1 - engine() % record.bytes);
  EXPECT_THROW(verify_shard(folder_.path(), record), FileError);
  EXPECT_THROW(ShardReader(folder_.path(), record), FileError);
  std::filesystem::remove(path);
  EXPECT_THROW(verify_shard(folder_.path(), record), FileError);
  EXPECT_THROW(ShardReader(folder_.path(), record), FileError);
}

// A disk that keeps other bytes than it was given: what was handed over counts, not what is read back.
TEST_F(ShardFileTest, IsReadBackWhereThatIsAskedFor) {
  const std::string path = folder_ / shard_name(0);
  const std::vector<float> values(static_cast<std::size_t>(3 * map_.shard_elements()), 1.5f);
  const auto write = [&](bool spoilt, bool verify) {
    ShardWriter writer(folder_.path(), {0, 3, map_.ranges(0)}, map_.shard_elements());
    writer.append(values);
    if (spoilt) flip_bit(path + ".tmp", std::filesystem::file_size(path + ".tmp") / 2, 3);
    return writer.commit(verify);
  };
  EXPECT_NO_THROW(verify_shard(folder_.path(), write(false, true)));
  std::filesystem::remove(path);
  const std::string message = file_error_of([&] { write(true, true); });
  EXPECT_NE(message.find(path + ".tmp: reads back other bytes"), std::string::npos) << message;
  EXPECT_TRUE(names_under(folder_.path()).empty());
  const ShardRecord unseen = write(true, false);  // until it is verified
  EXPECT_THROW(verify_shard(folder_.path(), unseen), FileError);
}

TEST_F(ShardFileTest, RefusesElementsItDoesNotHold) {
  const ShardRecord record = write_shard_of(folder_.path(), state_, map_, 0);
  const ShardReader reader(folder_.path(), record);
  std::vector<float> two(2);
  EXPECT_THROW(reader.read(StateTensor::exp_avg, map_.shard_elements() - 1, two), FileError);
  EXPECT_THROW(reader.read(StateTensor::exp_avg, -1, two), FileError);
}

TEST_F(ShardFileTest, RefusesAStateOfTheWrongSize) {
  const std::vector<float> right(static_cast<std::size_t>(map_.shard_elements())), wrong(right.size() - 1);
  const ShardLayout layout{0, map_.shards(), map_.ranges(0)};
  EXPECT_THROW(write_shard(folder_.path(), layout, {wrong, wrong, wrong}), Error);
  EXPECT_THROW(write_shard(folder_.path(), layout, {right, right, wrong}), Error);
  EXPECT_TRUE(names_under(folder_.path()).empty());
}

TEST_F(ShardFileTest, NeverWritesIntoACommittedCheckpoint) {
  const std::string folder = save(folder_.path(), table_, state_, 2, 5);
  EXPECT_THROW(write_shard_of(folder, state_, map_, 0), FileError);
  EXPECT_NO_THROW(verify_checkpoint(folder));
}

TEST_F(ShardFileTest, NamesTheReasonWhereTheFolderCannotBeWritten) {
  const std::string message = file_error_of([&] { write_shard_of("/proc/nothing", state_, map_, 0); });
  EXPECT_NE(message.find("/proc/nothing"), std::string::npos) << message;
}

// Runs `action` in a child process, which is lost if it fails badly; true if it returned true and exited in
// good order.
bool holds_in_child(const std::function<bool()>& action) {
  const pid_t child = fork();
  if (child == 0) std::exit(action() ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_FALSE(WIFSIGNALED(status)) << "signal " << WTERMSIG(status);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool fails_and_leaves_nothing(const std::string& folder, const std::string& reason,
                              const std::function<void()>& write) {
  try {
    write();
  } catch (const FileError& error) {
    const bool named = std::string(error.what()).find(reason) != std::string::npos;
    if (!named) std::fprintf(stderr, "%s\n", error.what());
    return named && names_under(folder).empty();
  }
  std::fprintf(stderr, "the write succeeded\n");
  return false;
}

TEST_F(ShardFileTest, ReportsAFileSizeLimitWhereverItStrikes) {
  const ShardRecord whole = write_shard_of(folder_ / "whole", state_, map_, 0);
  std::filesystem::create_directory(folder_ / "limited");
  for (const std::uint64_t limit : {std::uint64_t{0}, std::uint64_t{600}, std::uint64_t{5000},
                                    whole.bytes / 3, whole.bytes / 2, whole.bytes - 1}) {
    EXPECT_TRUE(holds_in_child([&] {
      signal(SIGXFSZ, SIG_IGN);
      const rlimit few{limit, limit};
      setrlimit(RLIMIT_FSIZE, &few);
      return fails_and_leaves_nothing(folder_ / "limited", "File too large",
                                      [&] { write_shard_of(folder_ / "limited", state_, map_, 0); });
    })) << "limit "
        << limit;
  }
}

TEST_F(ShardFileTest, ReportsAFullDisk) {
  const std::string disk = folder_ / "disk";
  std::filesystem::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k") != 0) GTEST_SKIP() << "mounting needs more rights";
  // From hardly any room to nearly enough.
  const std::string ballast = folder_ / "disk/ballast";
  for (const int pages : {16, 15, 14, 12, 8}) {
    write_file(ballast, std::string(static_cast<std::size_t>(pages) * 4096, 'x'));
    std::filesystem::create_directory(disk + "/step");
    EXPECT_TRUE(holds_in_child([&] {
      return fails_and_leaves_nothing(disk + "/step", "No space left on device",
                                      [&] { write_shard_of(disk + "/step", state_, map_, 0); });
    })) << pages
        << " of 16 pages taken";
    std::filesystem::remove_all(disk + "/step");
    std::filesystem::remove(ballast);
  }
  EXPECT_EQ(umount(disk.c_str()), 0);
}

}  // namespace
}  // namespace cola
