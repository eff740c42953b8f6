#include "io/checkpoints/checkpoint_directory.h"

#include <signal.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "io/checkpoint_fixture.h"
#include "io/checkpoints/checkpoint_reader.h"
#include "io/files/durable_file.h"

namespace cola {
namespace {

using Names = std::vector<std::string>;

class CheckpointDirectoryTest : public testing::Test {
 protected:
  std::string save_step(std::int64_t step) { return save(folder_.path(), table_, state_, 2, step); }
  Names committed() const {
    Names names;
    for (const std::string& folder : committed_checkpoints(folder_.path()))
      names.push_back(last_name(folder));
    return names;
  }

  TemporaryFolder folder_;
  ParameterTable table_{odd_configuration()};
  FlatState state_ = random_state(table_, 1);
};

TEST_F(CheckpointDirectoryTest, AnyNumberOfRanksLoadsACheckpointOfAnyOther) {
  for (int saved = 1; saved <= 4; ++saved) {
    const std::string folder = save(folder_.path(), table_, state_, saved, saved);
    const Manifest manifest = read_manifest(folder);
    for (int loading = 1; loading <= 4; ++loading) {
      const ShardMap map(table_, loading);
      for (int rank = 0; rank < loading; ++rank)
        for (const StateTensor tensor : all_state_tensors) {
          std::vector<float> values(static_cast<std::size_t>(map.shard_elements()), std::nanf(""));
          read_ranges(folder, manifest, tensor, map.ranges(rank), values);
          const std::vector<float> wanted = shard_of(state_[tensor], map, rank);
          EXPECT_EQ(0, std::memcmp(values.data(), wanted.data(), values.size() * sizeof(float)))
              << saved << " shards, rank " << rank << " of " << loading << ", " << name_of(tensor);
        }
    }
  }
}

TEST_F(CheckpointDirectoryTest, ReadsASingleElementAnywhere) {
  const std::string folder = save(folder_.path(), table_, state_, 3, 1);
  CheckpointReader reader(folder);
  std::vector<float> value(2);
  for (std::int64_t element = 0; element < table_.stored_elements(); element += 97) {
    const ShardRange one{element, element + 1, 1};
    reader.read(StateTensor::exp_avg, {&one, 1}, value);
    EXPECT_EQ(value[1], state_.exp_avg[static_cast<std::size_t>(element)]) << element;
  }
}

TEST_F(CheckpointDirectoryTest, RefusesElementsThatNoShardHoldsOrThatDoNotFit) {
  const std::string folder = save_step(1);
  const std::int64_t end = table_.stored_elements();
  std::vector<float> values(8);
  const ShardRange beyond{end - 1, end + 1, 0}, before{-1, 1, 0}, outside{0, 4, 6};
  for (const ShardRange& range : {beyond, before})
    EXPECT_THROW(read_ranges(folder, read_manifest(folder), StateTensor::weights, {&range, 1}, values),
                 FileError);
  EXPECT_THROW(read_ranges(folder, read_manifest(folder), StateTensor::weights, {&outside, 1}, values),
               Error);
  Manifest lacking = read_manifest(folder);
  lacking.shards.pop_back();
  const ShardRange all{0, end, 0};
  std::vector<float> everything(static_cast<std::size_t>(end));
  EXPECT_THROW(read_ranges(folder, lacking, StateTensor::weights, {&all, 1}, everything), FileError);
}

TEST_F(CheckpointDirectoryTest, ListsCommittedCheckpointsByStep) {
  for (const std::int64_t step : {100000000, 20, 3}) save_step(step);
  write_shard_of(folder_ / "step-00000050", state_, ShardMap(table_, 1), 0);
  for (const char* other : {"step-7", "step-x0000001", "step--0000001", "best", "step-000000011"})
    std::filesystem::create_directory(folder_ / other);
  EXPECT_EQ(committed(), (Names{"step-00000003", "step-00000020", "step-100000000"}));
  EXPECT_EQ(step_folders(folder_.path()).size(), 4u);
  EXPECT_TRUE(committed_checkpoints(folder_ / "missing").empty());
}

TEST_F(CheckpointDirectoryTest, ACheckpointExistsOnlyOnceItsManifestDoes) {
  const std::string folder = folder_ / checkpoint_name(4);
  const ShardMap map(table_, 2);
  Manifest manifest = manifest_of(table_, 4);
  for (int shard = 0; shard < 2; ++shard) {
    manifest.shards.push_back(write_shard_of(folder, state_, map, shard));
    EXPECT_TRUE(committed().empty());
  }
  Manifest incomplete = manifest;
  incomplete.shards.pop_back();
  EXPECT_THROW(publish_manifest(folder, incomplete), FileError);
  EXPECT_TRUE(committed().empty());
  publish_manifest(folder, manifest);
  EXPECT_EQ(committed(), Names{"step-00000004"});
  EXPECT_EQ(names_under(folder), (Names{"manifest.json", "shard-00000.h5", "shard-00001.h5"}));
}

TEST_F(CheckpointDirectoryTest, VerifyDetectsDamageAnywhereInAnyFile) {
  const std::string folder = save_step(1);
  std::mt19937 engine(std::random_device{}());
  EXPECT_NO_THROW(verify_checkpoint(folder));
  for (const std::string& name : names_under(folder)) {
    const std::string path = folder + "/" + name;
    for (int trial = 0; trial < 60; ++trial) {
      const std::uint64_t byte = engine() % std::filesystem::file_size(path);
      const int bit = static_cast<int>(engine() % 8);
      flip_bit(path, byte, bit);
      const std::string message = file_error_of([&] { verify_checkpoint(folder); });
      EXPECT_NE(message.find(name), std::string::npos) << message << ": byte " << byte << " bit " << bit;
      flip_bit(path, byte, bit);
    }
    const std::string whole = read_file(path);
    std::filesystem::resize_file(path, engine() % whole.size());
    EXPECT_THROW(verify_checkpoint(folder), FileError) << name;
    EXPECT_NE(find_damage(folder), "");
    write_file(path, whole);
    EXPECT_EQ(find_damage(folder), "");
  }
  std::filesystem::remove(folder + "/shard-00001.h5");
  EXPECT_THROW(verify_checkpoint(folder), FileError);
}

TEST_F(CheckpointDirectoryTest, VerifyDetectsAShardOfAnotherCheckpoint) {
  const std::string folder = save_step(1);
  const std::string other = save(folder_.path(), table_, random_state(table_, 2), 2, 2);
  std::filesystem::copy_file(other + "/shard-00000.h5", folder + "/shard-00000.h5",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THROW(verify_checkpoint(folder), FileError);
}

TEST_F(CheckpointDirectoryTest, RetiresTheOldestAndKeepsAtLeastOne) {
  for (std::int64_t step = 1; step <= 4; ++step) save_step(step);
  retire_old_checkpoints(folder_.path(), 5);
  EXPECT_EQ(committed().size(), 4u);
  retire_old_checkpoints(folder_.path(), 2);
  EXPECT_EQ(committed(), (Names{"step-00000003", "step-00000004"}));
  retire_old_checkpoints(folder_.path(), 0);
  EXPECT_EQ(committed(), Names{"step-00000004"});
  EXPECT_EQ(names_under(folder_.path()), Names{"step-00000004"});
  EXPECT_NO_THROW(verify_checkpoint(folder_ / "step-00000004"));
}

TEST_F(CheckpointDirectoryTest, RetirementLeavesLastingSteps) {
  for (std::int64_t step = 2; step <= 14; step += 2) save_step(step);
  retire_old_checkpoints(folder_.path(), 2, 4);
  EXPECT_EQ(committed(), (Names{"step-00000004", "step-00000008", "step-00000012", "step-00000014"}));
  save_step(15);  // where the run was stopped
  save_step(16);
  retire_old_checkpoints(folder_.path(), 1, 4);
  EXPECT_EQ(committed(), (Names{"step-00000004", "step-00000008", "step-00000012", "step-00000016"}));
  retire_old_checkpoints(folder_.path(), 1, 8);
  EXPECT_EQ(committed(), (Names{"step-00000008", "step-00000016"}));
}

// Names deleted in a folder since it was watched, in order.
Names deleted_names(int watcher) {
  alignas(inotify_event) char buffer[4096];
  const ssize_t bytes = read(watcher, buffer, sizeof buffer);
  Names names;
  for (ssize_t at = 0; at < bytes;) {
    const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
    if (event->mask & IN_DELETE) names.emplace_back(event->name);
    at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
  }
  return names;
}

TEST_F(CheckpointDirectoryTest, RetirementRemovesTheManifestFirst) {
  const std::string folder = folder_ / checkpoint_name(1);
  std::filesystem::create_directory(folder);
  for (int file = 0; file < 20; ++file) write_file(folder + "/other-" + std::to_string(file), "");
  save_step(1);
  save_step(2);
  const int watcher = inotify_init1(IN_NONBLOCK);
  ASSERT_GE(inotify_add_watch(watcher, folder.c_str(), IN_DELETE), 0);
  retire_old_checkpoints(folder_.path(), 1);
  const Names names = deleted_names(watcher);
  close(watcher);
  ASSERT_EQ(names.size(), 23u);
  EXPECT_EQ(names.front(), "manifest.json");
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_F(CheckpointDirectoryTest, RetirementKeepsTheLastGoodCheckpointBehindADamagedOne) {
  for (std::int64_t step = 1; step <= 3; ++step) save_step(step);
  std::filesystem::resize_file(folder_ / "step-00000003/shard-00001.h5", 100);
  retire_old_checkpoints(folder_.path(), 1);
  EXPECT_EQ(committed(), (Names{"step-00000002", "step-00000003"}));
  EXPECT_NO_THROW(verify_checkpoint(folder_ / "step-00000002"));
}

TEST_F(CheckpointDirectoryTest, RemovesWhatACrashLeft) {
  save_step(1);
  const ShardMap map(table_, 2);
  write_shard_of(folder_ / "step-00000002", state_, map, 1);
  write_file(folder_ / "step-00000002/shard-00000.h5.tmp", "half");
  write_file(folder_ / "step-00000001/shard-00009.h5.tmp", "half");
  write_file(folder_ / "notes.txt", "mine");
  const Names removed = remove_orphans(folder_.path());
  EXPECT_EQ(removed, (Names{folder_ / "step-00000001/shard-00009.h5.tmp", folder_ / "step-00000002"}));
  EXPECT_EQ(names_under(folder_.path()), (Names{"notes.txt", "step-00000001"}));
  EXPECT_NO_THROW(verify_checkpoint(folder_ / "step-00000001"));
  EXPECT_TRUE(remove_orphans(folder_.path()).empty());
}

TEST_F(CheckpointDirectoryTest, SetsNewerCheckpointsAside) {
  for (const std::int64_t step : {10, 20, 30}) save_step(step);
  EXPECT_EQ(set_aside_newer_checkpoints(folder_.path(), 20), Names{folder_ / "abandoned-step-00000030"});
  EXPECT_EQ(committed(), (Names{"step-00000010", "step-00000020"}));
  save_step(30);
  EXPECT_EQ(set_aside_newer_checkpoints(folder_.path(), 20), Names{folder_ / "abandoned-step-00000030-2"});
  EXPECT_NO_THROW(verify_checkpoint(folder_ / "abandoned-step-00000030"));
  EXPECT_EQ(abandoned_folders(folder_.path()),
            (Names{folder_ / "abandoned-step-00000030", folder_ / "abandoned-step-00000030-2"}));
  EXPECT_TRUE(set_aside_newer_checkpoints(folder_.path(), 20).empty());
}

TEST_F(CheckpointDirectoryTest, ResolvesRunDirectoriesCheckpointFoldersAndSteps) {
  const std::string checkpoints = folder_ / "checkpoints";
  for (const std::int64_t step : {1, 2}) save(checkpoints, table_, state_, 1, step);
  std::filesystem::create_directory(checkpoints + "/step-00000003");
  EXPECT_EQ(resolve_checkpoint(folder_.path()), checkpoints + "/step-00000002");
  EXPECT_EQ(resolve_checkpoint(checkpoints), checkpoints + "/step-00000002");
  EXPECT_EQ(resolve_checkpoint(checkpoints + "/step-00000001"), checkpoints + "/step-00000001");
  EXPECT_EQ(resolve_checkpoint(checkpoints + "/step-00000001/"), checkpoints + "/step-00000001/");
  EXPECT_THROW(resolve_checkpoint(checkpoints + "/step-00000003"), UsageError);
  EXPECT_THROW(resolve_checkpoint(folder_ / "missing"), UsageError);
}

// Saves checkpoint after checkpoint, keeping two, until the process is killed.
[[noreturn]] void save_for_ever(const std::string& directory, const ParameterTable& table,
                                const FlatState& state) {
  for (std::int64_t step = 1;; ++step) {
    save(directory, table, state, 2, step);
    retire_old_checkpoints(directory, 2);
  }
}

TEST_F(CheckpointDirectoryTest, EveryCommittedCheckpointIsGoodWheneverTheProcessIsKilled) {
  std::mt19937 engine(std::random_device{}());
  for (int trial = 0; trial < 12; ++trial) {
    const std::string directory = folder_ / std::to_string(trial);
    const pid_t child = fork();
    if (child == 0) save_for_ever(directory, table_, state_);
    while (committed_checkpoints(directory).empty())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::microseconds(engine() % 50000));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    remove_orphans(directory);
    const Names left = committed_checkpoints(directory);
    EXPECT_GE(left.size(), 1u);
    EXPECT_LE(left.size(), 3u);
    for (const std::string& checkpoint : left) EXPECT_NO_THROW(verify_checkpoint(checkpoint));
    EXPECT_EQ(names_under(directory).size(), left.size());
  }
}

}  // namespace
}  // namespace cola
