#include "train/checkpoints/checkpointer.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/philox.h"
#include "io/checkpoints/checkpoint_compare.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/checkpoints/staged_shard.h"
#include "io/files/durable_file.h"
#include "support/test_folder.h"
#include "train/checkpoints/load_checkpoint.h"
#include "train/checkpoints/resume.h"
#include "train/checkpoints/staged_checkpoint.h"

namespace cola {
namespace {

namespace fs = std::filesystem;

ModelConfiguration model_of(std::int64_t vocabulary) {
  ModelConfiguration model;
  model.vocab_size = vocabulary;
  model.hidden_size = 24;
  model.intermediate_size = 21;
  model.num_hidden_layers = 2;
  model.num_attention_heads = model.num_key_value_heads = 2;
  model.rank = 6;
  return model;
}

// One rank of a run: a store whose "training" draws its gradients from the step's number.
class Rank {
 public:
  Rank(Communicator& communicator, const RunConfiguration& configuration)
      : communicator_(communicator),
        configuration_(configuration),
        table_(configuration.model),
        store_(*device_, communicator, table_, {configuration.parallel.zero_stage, DataType::float32}),
        checkpointer_(*device_, communicator, table_, store_, configuration) {
    store_.initialize(configuration.run.seed);
  }

  void train_step(std::int64_t step) {
    store_.zero_gradients();
    store_.begin_last_micro_batch();
    for (int unit = store_.shard_map().units() - 1; unit >= 0; --unit) {
      const std::uint64_t key =
          philox_key(static_cast<std::uint64_t>(step), "unit") + static_cast<unsigned>(unit);
      std::span<float> gradient = store_.gradients(unit).span<float>();
      for (std::size_t i = 0; i < gradient.size(); i += 7)
        gradient[i] = static_cast<float>(philox(key, i)[0]) * 0x1p-31f - 1.0f;
      store_.gradients_ready(unit);
      checkpointer_.advance();
    }
    store_.gradient_norm();
    checkpointer_.finish_snapshot();
    store_.update({.learning_rate = 1e-2f, .step = step});
  }

  SaveOutcome save(std::int64_t step) { return checkpointer_.save({step, step * 8, step * 512}); }

  // As the trainer does it: polls at the end of each step.
  SaveOutcome poll_while_training(std::int64_t& step) {
    while (true) {
      train_step(++step);
      std::array<std::int64_t, 1> busy{checkpointer_.busy()};
      communicator_.all_reduce_maximum(busy);
      if (busy[0] != 0) continue;
      if (const auto outcome = checkpointer_.proceed()) return *outcome;
    }
  }

  std::vector<float> state() const {
    std::vector<float> all;
    for (const Tensor& tensor : {store_.master_weights(), store_.exp_avg(), store_.exp_avg_sq()}) {
      const std::span<const float> values = tensor.span<float>();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }
  void load(std::int64_t step) { load_folder(folder(step)); }
  void load_folder(const std::string& folder) { load_checkpoint(folder, communicator_, *device_, store_); }
  std::string folder(std::int64_t step) const {
    return checkpoints_of(configuration_) + "/" + checkpoint_name(step);
  }
  Checkpointer& checkpointer() { return checkpointer_; }

 private:
  Communicator& communicator_;
  RunConfiguration configuration_;
  std::unique_ptr<Device> device_ = make_cpu_device(1);
  ParameterTable table_;
  ShardedParameterStore store_;
  Checkpointer checkpointer_;
};

class CheckpointerTest : public testing::Test {
 protected:
  RunConfiguration configuration(const std::string& run) const {
    RunConfiguration configuration;
    configuration.run.dir = folder_.path(run);
    configuration.model = model_of(258);
    configuration.data.train = configuration.data.validation = {"none.h5"};
    return configuration;
  }
  // Two ranks that save after these steps, as one job does; the attempt's name.
  static std::string run_an_attempt(const RunConfiguration& run, const std::vector<std::int64_t>& steps) {
    fs::remove_all(checkpoints_of(run));
    fs::create_directories(run.run.dir);
    const std::string attempt = begin_attempt(run);
    run_on_threads(2, [&](Communicator& communicator) {
      Rank rank(communicator, run);
      rank.checkpointer().set_attempt(attempt);
      for (const std::int64_t step : steps) {
        rank.train_step(step);
        EXPECT_EQ(rank.save(step).error, "");
      }
    });
    return attempt;
  }
  static void expect_identical(const std::string& a, const std::string& b) {
    CheckpointReader one(a), other(b);
    EXPECT_TRUE(compare_checkpoints(one, other).empty()) << a << " and " << b;
  }
  static std::vector<std::string> shard_checksums(const std::string& folder) {
    std::vector<std::string> checksums;
    for (const ShardRecord& shard : read_manifest(folder).shards) checksums.push_back(shard.checksum);
    return checksums;
  }

  TestFolder folder_;
};

TEST_F(CheckpointerTest, SavesNoNewerValuesThanTheStepItIsNamedAfter) {
  RunConfiguration run = configuration("run");
  run.model = model_of(60000);         // 2.9 M parameters: more than a small ring holds
  run.checkpoint.bandwidth_mib = 150;  // so that updates come while the writer is at work
  for (const double ring : {0.0, 0.0157}) {
    run.checkpoint.ring_gib = ring;
    run.run.dir = folder_.path("ring" + std::to_string(ring));
    run_on_threads(2, [&](Communicator& communicator) {
      Rank rank(communicator, run);
      rank.train_step(1);
      const std::vector<float> wanted = rank.state();
      std::int64_t step = 1;
      rank.checkpointer().start({1, 8, 512});
      const SaveOutcome outcome = rank.poll_while_training(step);
      EXPECT_EQ(outcome.error, "");
      EXPECT_GT(step, 1);
      EXPECT_NE(rank.state(), wanted);
      rank.load(1);
      EXPECT_TRUE(rank.state() == wanted) << "ring of " << ring << " GiB";
    });
  }
}

TEST_F(CheckpointerTest, ASlowedWriterWritesTheSameFilesAsASynchronousSave) {
  RunConfiguration fast = configuration("fast"), slow = configuration("slow");
  slow.checkpoint.bandwidth_mib = 0.5;
  slow.checkpoint.verify = true;
  std::array<double, 2> seconds{};
  for (const bool slowed : {false, true})
    run_on_threads(2, [&](Communicator& communicator) {
      Rank rank(communicator, slowed ? slow : fast);
      std::int64_t step = 1;
      rank.train_step(step);
      rank.checkpointer().start({1, 8, 512});
      const SaveOutcome outcome = slowed ? rank.poll_while_training(step) : *rank.checkpointer().wait();
      EXPECT_EQ(outcome.error, "");
      if (communicator.rank() == 0) seconds[slowed] = outcome.seconds;
      EXPECT_GT(outcome.full_speed_seconds, 0);
      if (slowed) {  // 0.3 were slept
        EXPECT_LT(outcome.full_speed_seconds, outcome.seconds - 0.1);
      }
    });
  EXPECT_GT(seconds[1], 0.1);  // a shard of 0.16 MiB
  EXPECT_EQ(shard_checksums(fast.run.dir + "/checkpoints/step-00000001"),
            shard_checksums(slow.run.dir + "/checkpoints/step-00000001"));
}

// At this rate a shard would take minutes.
TEST_F(CheckpointerTest, WritesAtFullSpeedWhileTrainingWaits) {
  RunConfiguration run = configuration("run");
  run.checkpoint.bandwidth_mib = 0.001;
  const auto begin = std::chrono::steady_clock::now();
  run_on_threads(2, [&](Communicator& communicator) {
    Rank rank(communicator, run);
    rank.train_step(1);
    rank.checkpointer().start({1, 8, 512});
    rank.train_step(2);
    EXPECT_EQ(rank.checkpointer().wait()->error, "");
    EXPECT_EQ(rank.save(2).error, "");
  });
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST_F(CheckpointerTest, AnyNumberOfRanksGoesOnFromAnyOther) {
  const RunConfiguration first = configuration("first");
  run_on_threads(1, [&](Communicator& communicator) {
    Rank rank(communicator, first);
    for (const std::int64_t step : {1, 2}) rank.train_step(step);
    EXPECT_EQ(rank.save(2).error, "");
  });
  const std::string origin = first.run.dir + "/checkpoints/step-00000002";
  const auto resave = [&](const std::string& from, const std::string& to, int ranks) {
    run_on_threads(ranks, [&](Communicator& communicator) {
      Rank rank(communicator, configuration(to));
      rank.load_folder(folder_.path(from + "/checkpoints/step-00000002"));
      EXPECT_EQ(rank.save(2).error, "");
    });
    const std::string folder = folder_.path(to + "/checkpoints/step-00000002");
    EXPECT_EQ(read_manifest(folder).shards.size(), static_cast<std::size_t>(ranks));
    expect_identical(origin, folder);
  };
  for (int saved = 1; saved <= 4; ++saved) {
    const std::string from = fmt::format("on{}", saved);
    resave("first", from, saved);
    for (int loading = 1; loading <= 4; ++loading)
      resave(from, fmt::format("on{}then{}", saved, loading), loading);
  }
}

TEST_F(CheckpointerTest, OneRanksFailureCommitsNothingAndTheNextSaveSucceeds) {
  const RunConfiguration run = configuration("run");
  run_on_threads(3, [&](Communicator& communicator) {
    Rank rank(communicator, run);
    rank.train_step(1);
    EXPECT_EQ(rank.save(1).error, "");
    // Rank 1's file cannot be made: a folder has its name.
    if (communicator.rank() == 1) fs::create_directories(rank.folder(2) + "/shard-00001.h5.tmp");
    communicator.barrier();
    rank.train_step(2);
    rank.checkpointer().start({2, 16, 1024});
    std::int64_t step = 2;
    const SaveOutcome failed = rank.poll_while_training(step);
    EXPECT_EQ(failed.error.rfind("rank 1: ", 0), 0u) << failed.error;
    EXPECT_NE(failed.error.find("shard-00001.h5"), std::string::npos) << failed.error;
    EXPECT_EQ(failed.failures_in_a_row, 1);
    EXPECT_EQ(rank.checkpointer().committed_step(), 1);
    EXPECT_FALSE(fs::exists(rank.folder(2)));
    EXPECT_NO_THROW(verify_checkpoint(rank.folder(1)));
    const SaveOutcome saved = rank.save(step);
    EXPECT_EQ(saved.error, "");
    EXPECT_EQ(saved.failures_in_a_row, 0);
  });
}

TEST_F(CheckpointerTest, GivesUpWithinMomentsAndLeavesNoHalfFile) {
  RunConfiguration run = configuration("run");
  run.checkpoint.bandwidth_mib = 0.001;
  const auto begin = std::chrono::steady_clock::now();
  run_on_threads(2, [&](Communicator& communicator) {
    Rank rank(communicator, run);
    rank.train_step(1);
    rank.checkpointer().start({1, 8, 512});
  });
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_TRUE(committed_checkpoints(checkpoints_of(run)).empty());
  EXPECT_TRUE(fs::is_empty(checkpoints_of(run) + "/step-00000001"));
}

TEST_F(CheckpointerTest, StagesOnTheLocalDiskAndDrains) {
  RunConfiguration run = configuration("run"), plain = configuration("plain");
  run.checkpoint.local_dir = folder_.path("local");
  for (const RunConfiguration& one : {run, plain})
    run_on_threads(2, [&](Communicator& communicator) {
      Rank rank(communicator, one);
      for (const std::int64_t step : {1, 2}) {
        rank.train_step(step);
        EXPECT_EQ(rank.save(step).error, "");
      }
    });
  EXPECT_EQ(shard_checksums(run.run.dir + "/checkpoints/step-00000002"),
            shard_checksums(plain.run.dir + "/checkpoints/step-00000002"));
  EXPECT_NO_THROW(verify_checkpoint(run.run.dir + "/checkpoints/step-00000001"));
  const std::string attempt =
      attempt_directory(staging_directory(*run.checkpoint.local_dir, run.run.dir), "0");
  EXPECT_EQ(step_folders(attempt), std::vector<std::string>{attempt + "/step-00000002"});
  EXPECT_EQ(staged_shards(attempt).size(), 2u);
}

// The node's disk has all of step 2, the shared one nothing: the next start brings it there. Of step 3 one
// shard is missing.
TEST_F(CheckpointerTest, CommitsAtTheNextStartWhatAllNodesHadStaged) {
  RunConfiguration run = configuration("run");
  run.checkpoint.local_dir = folder_.path("local");
  const std::string staging = staging_directory(*run.checkpoint.local_dir, run.run.dir);
  const std::string attempt = attempt_directory(staging, run_an_attempt(run, {1, 2}));
  fs::rename(run.run.dir + "/checkpoints/step-00000002", folder_.path("wanted"));
  fs::copy(attempt + "/step-00000002", attempt + "/step-00000003");
  Manifest third = read_manifest(folder_.path("wanted"));
  third.step = 3;
  third.shards.pop_back();
  stage_shard(attempt + "/step-00000003", third);
  fs::remove(attempt + "/step-00000003/shard-00001.h5.json");
  for (const int ranks : {3, 1}) {
    run_on_threads(ranks, [&](Communicator& communicator) {
      commit_staged_checkpoint(communicator, run);
      clear_staged_checkpoints(communicator, run);
    });
    EXPECT_EQ(committed_checkpoints(checkpoints_of(run)).size(), 2u);
    EXPECT_NO_THROW(verify_checkpoint(run.run.dir + "/checkpoints/step-00000002"));
    expect_identical(folder_.path("wanted"), run.run.dir + "/checkpoints/step-00000002");
    EXPECT_FALSE(fs::exists(staging));
  }
}

// The shared disk does not take what may be the only copy: it stays, and the run does not begin without it.
TEST_F(CheckpointerTest, KeepsWhatIsStagedWhereItCannotBeDrained) {
  RunConfiguration run = configuration("run");
  run.checkpoint.local_dir = folder_.path("local");
  run.model.num_attention_heads = run.model.num_key_value_heads = 3;
  const std::string staging = staging_directory(*run.checkpoint.local_dir, run.run.dir);
  const std::string attempt = attempt_directory(staging, run_an_attempt(run, {1, 2}));
  const std::string second = checkpoints_of(run) + "/step-00000002";
  fs::rename(second, folder_.path("wanted"));
  fs::rename(checkpoints_of(run), folder_.path("before"));
  fs::create_directory_symlink(folder_.path("nowhere"), checkpoints_of(run));  // nothing can be made there
  const ParameterTable table(run.model);
  const auto start = [&](Communicator& communicator) {
    return find_start(communicator, {run, table, {}}, parse_resume("auto")).folder;
  };
  std::atomic<int> refused = 0;
  run_on_threads(2, [&](Communicator& communicator) {
    try {
      start(communicator);
    } catch (const UsageError& error) {
      const std::string said = error.what();
      EXPECT_NE(said.find("step-00000002 lies whole in checkpoint.local_dir, but cannot be drained to"),
                std::string::npos)
          << said;
      EXPECT_NE(said.find("remove " + staging), std::string::npos) << said;
      ++refused;
    }
  });
  EXPECT_EQ(refused, 2);
  EXPECT_EQ(staged_shards(attempt).size(), 2u);
  fs::remove(checkpoints_of(run));
  fs::rename(folder_.path("before"), checkpoints_of(run));
  run_on_threads(2, [&](Communicator& communicator) {
    const std::string found = start(communicator);
    EXPECT_EQ(found, second);
  });
  expect_identical(folder_.path("wanted"), second);
}

// Of what is damaged there, nothing can be had: the checkpoint before it counts.
TEST_F(CheckpointerTest, PassesOverStagedShardsThatAreDamaged) {
  RunConfiguration run = configuration("run");
  run.checkpoint.local_dir = folder_.path("local");
  const std::string attempt = attempt_directory(staging_directory(*run.checkpoint.local_dir, run.run.dir),
                                                run_an_attempt(run, {1, 2}));
  fs::remove_all(checkpoints_of(run) + "/step-00000002");
  fs::resize_file(attempt + "/step-00000002/shard-00001.h5", 1000);
  run_on_threads(
      2, [&](Communicator& communicator) { EXPECT_NO_THROW(commit_staged_checkpoint(communicator, run)); });
  EXPECT_EQ(committed_checkpoints(checkpoints_of(run)),
            std::vector<std::string>{checkpoints_of(run) + "/step-00000001"});
}

// As text, step-100000000 comes before step-99999999.
TEST_F(CheckpointerTest, TellsTheNewerStepByItsNumber) {
  RunConfiguration run = configuration("run");
  run.checkpoint.local_dir = folder_.path("local");
  run_an_attempt(run, {99999999, 100000000});
  fs::remove_all(checkpoints_of(run) + "/step-100000000");
  run_on_threads(2, [&](Communicator& communicator) { commit_staged_checkpoint(communicator, run); });
  EXPECT_NO_THROW(verify_checkpoint(checkpoints_of(run) + "/step-100000000"));
}

// The local disk is in trouble: its folder cannot be listed.
TEST_F(CheckpointerTest, GoesOnFromWhatIsCommittedWhereStagedShardsCannotBeFound) {
  RunConfiguration run = configuration("run");
  run.checkpoint.local_dir = folder_.path("local");
  const std::string attempt = attempt_directory(staging_directory(*run.checkpoint.local_dir, run.run.dir),
                                                run_an_attempt(run, {1, 2}));
  const std::string first = checkpoints_of(run) + "/step-00000001";
  fs::remove_all(checkpoints_of(run) + "/step-00000002");
  fs::remove_all(attempt);
  write_file(attempt, "no folder");
  run_on_threads(
      2, [&](Communicator& communicator) { EXPECT_NO_THROW(commit_staged_checkpoint(communicator, run)); });
  EXPECT_EQ(committed_checkpoints(checkpoints_of(run)), std::vector<std::string>{first});
}

// Which attempt was the last cannot be read: what it staged may be the only copy of its step.
TEST_F(CheckpointerTest, DoesNotBeginWhereItCannotTellTheLastAttempt) {
  RunConfiguration run = configuration("run");
  run.checkpoint.local_dir = folder_.path("local");
  run_an_attempt(run, {1, 2});
  fs::remove_all(checkpoints_of(run) + "/step-00000002");
  const std::string last = run.run.dir + "/attempt";
  fs::remove(last);
  fs::create_directory(last);  // cannot be read as a file
  run_on_threads(2, [&](Communicator& communicator) {
    EXPECT_THROW(commit_staged_checkpoint(communicator, run), UsageError);
  });
}

// Two attempts had two nodes each. The node they shared holds shard 0 of the second, the other one has kept
// shard 1 of the first: alike in step, name and ranges.
TEST_F(CheckpointerTest, JoinsNoShardsOfTwoAttempts) {
  RunConfiguration run = configuration("run");
  run.checkpoint.local_dir = folder_.path("local");
  const std::string staging = staging_directory(*run.checkpoint.local_dir, run.run.dir);
  const std::string first = attempt_directory(staging, run_an_attempt(run, {1, 2}));
  const std::string second = attempt_directory(staging, run_an_attempt(run, {5, 2}));  // other values
  for (const std::string ending : {"", ".json"}) {
    fs::remove(first + "/step-00000002/shard-00000.h5" + ending);
    fs::remove(second + "/step-00000002/shard-00001.h5" + ending);
  }
  fs::remove_all(checkpoints_of(run));
  run_on_threads(2, [&](Communicator& communicator) {
    commit_staged_checkpoint(communicator, run);
    clear_staged_checkpoints(communicator, run);
  });
  EXPECT_TRUE(committed_checkpoints(checkpoints_of(run)).empty());
  EXPECT_FALSE(fs::exists(staging));
}

// Step 2 lies whole on nodes that the job which was told to go on from step 1 did not have.
TEST_F(CheckpointerTest, ADecisionToGoBackOutlastsWhatOtherNodesHaveStaged) {
  RunConfiguration run = configuration("run");
  run.checkpoint.local_dir = folder_.path("local");
  run.model.num_attention_heads = run.model.num_key_value_heads =
      3;  // of 8 wide, as a run's manifest must say
  run_an_attempt(run, {1, 2});
  const std::string step1 = checkpoints_of(run) + "/step-00000001";
  const auto start = [&](const std::string& local, const std::string& resume) {
    run.checkpoint.local_dir = folder_.path(local);
    std::string found;
    run_on_threads(2, [&](Communicator& communicator) {
      const ParameterTable table(run.model);
      const RunStart begun = find_start(communicator, {run, table, {}}, parse_resume(resume));
      if (communicator.rank() == 0) found = begun.folder;
    });
    return found;
  };
  EXPECT_EQ(start("of other nodes", step1), step1);
  EXPECT_EQ(start("local", "auto"), step1);
  EXPECT_EQ(committed_checkpoints(checkpoints_of(run)), std::vector<std::string>{step1});
}

}  // namespace
}  // namespace cola
