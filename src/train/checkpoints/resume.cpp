#include "train/checkpoints/resume.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "dist/placement/job_allocation.h"
#include "dist/store_memory.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/checkpoints/shard_file.h"
#include "io/files/durable_file.h"
#include "io/files/run_directory.h"
#include "model/shard_map.h"
#include "train/agreement.h"
#include "train/checkpoints/chosen_start.h"
#include "train/checkpoints/staged_checkpoint.h"
#include "train/checkpoints/training_state.h"

namespace cola {

namespace {

using Kind = ResumeChoice::Kind;

// A job that was restarted after a node was lost may begin before the file system has noticed that the lock's
// holder is gone.
std::chrono::seconds patience_with_lock() {
  return std::chrono::seconds(read_restarts(environment_variable) > 0 ? 180 : 0);
}

// Each rank reads its share of the shards. What is wrong is known on all ranks; empty if nothing is.
RankWord find_damage_together(Communicator& communicator, const std::string& folder) {
  const std::string own = error_of_slow(
      communicator, [&] { verify_checkpoint(folder, communicator.rank(), communicator.size()); });
  return first_told(communicator, own);
}

std::vector<std::string> committed_beyond(const std::string& directory, std::int64_t step) {
  std::vector<std::string> folders = committed_checkpoints(directory);
  std::erase_if(folders, [&](const auto& folder) { return checkpoint_step(last_name(folder)) <= step; });
  return folders;
}

// The newest that verifies of those beyond `step`; empty if there are none or none does.
std::string find_newest_intact(Communicator& communicator, const std::string& directory, std::int64_t step) {
  std::vector<std::string> candidates;  // on rank 0, the newest last
  on_rank_0(communicator, [&] { candidates = committed_beyond(directory, step); });
  const auto newest = [&] { return shared_text(communicator, candidates.empty() ? "" : candidates.back()); };
  std::string folder = newest();
  while (!folder.empty()) {
    const RankWord damage = find_damage_together(communicator, folder);
    if (damage.text.empty()) return folder;
    if (communicator.rank() == 0) candidates.pop_back();
    folder = newest();
    if (communicator.rank() == damage.rank)
      warning("{}{}", damage.text, folder.empty() ? "" : "; falling back to the checkpoint before it");
  }
  return {};
}

// A run must not begin anew beside checkpoints that a disk may only have failed to read.
std::string find_newest(Communicator& communicator, const std::string& directory) {
  const std::string found = find_newest_intact(communicator, directory, -1);
  if (found.empty())
    on_rank_0(communicator, [&] {
      if (!committed_checkpoints(directory).empty())
        throw UsageError(
            "{}: none of its checkpoints is intact, and all are left as they are; bring one back, or set "
            "another run.dir to start anew",
            directory);
    });
  return found;
}

std::string find_chosen(Communicator& communicator, const std::string& chosen) {
  std::string folder;
  on_rank_0(communicator, [&] { folder = resolve_checkpoint(chosen); });
  folder = shared_text(communicator, folder);
  const RankWord damage = find_damage_together(communicator, folder);
  if (!damage.text.empty()) throw RankError(damage);
  return folder;
}

// Beyond which step lies what has come of starting from the chosen checkpoint; nothing if it was not chosen
// last.
std::optional<std::int64_t> find_step_of_choice(Communicator& communicator, const std::string& run_directory,
                                                const ResumeChoice& choice) {
  std::string told;
  on_rank_0(communicator, [&] {
    if (const auto step = find_chosen_start(run_directory, choice.folder)) told = std::to_string(*step);
  });
  told = shared_text(communicator, told);
  return told.empty() ? std::nullopt : std::optional<std::int64_t>(std::stoll(told));
}

void require_fresh(const std::string& directory) {
  if (!committed_checkpoints(directory).empty())
    throw UsageError(
        "--resume none: {} already holds checkpoints; leave --resume out to resume from the newest, or set "
        "another run.dir or remove that folder to start at step 0",
        directory);
}

// The newest of what has come of starting from the chosen checkpoint before; empty if nothing has.
std::string find_progress(Communicator& communicator, const RunConfiguration& configuration,
                          const ResumeChoice& choice) {
  const auto beyond = find_step_of_choice(communicator, configuration.run.dir, choice);
  if (!beyond) return {};
  if (configuration.checkpoint.local_dir) commit_staged_checkpoint(communicator, configuration);
  const std::string folder = find_newest_intact(communicator, checkpoints_of(configuration), *beyond);
  if (!folder.empty() && communicator.rank() == 0)
    information("resumes from what has come of --resume {} (remove {} to begin there again)", choice.folder,
                chosen_start_file(configuration.run.dir));
  return folder;
}

// Empty for a fresh start. `at_choice`: whether it is the one that was chosen on the command line.
std::string find_folder(Communicator& communicator, const RunConfiguration& configuration,
                        const ResumeChoice& choice, bool& at_choice) {
  if (choice.kind == Kind::none) return {};
  if (choice.kind == Kind::newest) {
    if (configuration.checkpoint.local_dir) commit_staged_checkpoint(communicator, configuration);
    return find_newest(communicator, checkpoints_of(configuration));
  }
  const std::string progress = find_progress(communicator, configuration, choice);
  at_choice = progress.empty();
  return at_choice ? find_chosen(communicator, choice.folder) : progress;
}

// On rank 0.
void require_fitting(const RunIdentity& run, RunStart& start, int ranks) {
  const Manifest manifest = read_manifest(start.folder);
  require_same_run(manifest, run, start.folder);
  if (manifest.step > run.configuration.schedule.total_steps)
    throw UsageError("nothing to do: step {} of {} is past schedule.total_steps ({})", manifest.step,
                     start.folder, run.configuration.schedule.total_steps);
  start.changes = describe_changes(manifest, run.configuration, ranks, start.folder);
  const std::string directory = checkpoints_of(run.configuration);
  std::error_code ignored;  // there is none yet
  start.is_own = std::filesystem::equivalent(start.folder + "/..", directory, ignored);
  start.is_finished = start.is_own && manifest.step == run.configuration.schedule.total_steps;
}

// Rank 0's word: other nodes may see a new directory later. Collective.
void share_verdict(Communicator& communicator, RunStart& start) {
  const std::string own = start.is_own ? "own" : "";
  const std::string word = shared_text(communicator, start.is_finished ? "finished" : own);
  start.is_own = !word.empty();
  start.is_finished = word == "finished";
}

// On rank 0. Makes room first: what a crash left takes some. Of another run's checkpoint, that step itself is
// still to be saved as this run's.
void prepare_directory(const std::string& directory, const RunStart& start, const ShardMap& map) {
  for (const std::string& removed : remove_orphans(directory))
    information("removed {}, left by a crash", removed);
  if (!start.is_finished)
    require_free_space(directory, checkpoint_bytes(map), directory + ", for a single checkpoint");
  make_durable_folder(directory);
  if (start.folder.empty()) return;
  const std::int64_t step = read_manifest(start.folder).step;
  for (const std::string& moved : set_aside_newer_checkpoints(directory, start.is_own ? step : step - 1))
    information("set a newer checkpoint aside as {}", moved);
}

// On rank 0. The attempt first: what the one before has staged elsewhere is no progress of this choice.
void note_start(const RunConfiguration& configuration, const ResumeChoice& choice, bool at_choice,
                RunStart& start) {
  start.attempt = begin_attempt(configuration);
  if (start.folder.empty()) forget_chosen_start(configuration.run.dir);
  if (!at_choice) return;
  const std::int64_t step = read_manifest(start.folder).step;
  note_chosen_start(configuration.run.dir, choice.folder, start.is_own ? step : step - 1);
}

// Everything of a start but its lock.
void settle_start(Communicator& communicator, const RunIdentity& run, const ResumeChoice& choice,
                  RunStart& start) {
  const RunConfiguration& configuration = run.configuration;
  const std::string directory = checkpoints_of(configuration);
  const ShardMap map = shard_map_of(run.table, configuration.parallel.zero_stage, communicator.size());
  bool at_choice = false;
  start.folder = find_folder(communicator, configuration, choice, at_choice);
  on_rank_0(communicator, [&] {
    if (!start.folder.empty()) require_fitting(run, start, communicator.size());
  });
  share_verdict(communicator, start);
  if (configuration.checkpoint.local_dir) {  // only now that the run can resume without what is staged
    clear_staged_checkpoints(communicator, configuration);
    if (!start.is_finished) prepare_staging(communicator, configuration, map);
  }
  on_rank_0(communicator, [&] {
    prepare_directory(directory, start, map);
    note_start(configuration, choice, at_choice, start);
  });
  start.attempt = shared_text(communicator, start.attempt);
}

}  // namespace

ResumeChoice parse_resume(const std::string& text) {
  if (text == "auto") return {Kind::newest};
  if (text == "none") return {Kind::none};
  return {Kind::folder, text};
}

std::string find_checkpoint(Communicator& communicator, const RunConfiguration& configuration,
                            const ResumeChoice& choice) {
  switch (choice.kind) {
    case Kind::newest:
      return find_newest(communicator, checkpoints_of(configuration));
    case Kind::folder:
      return find_chosen(communicator, choice.folder);
    case Kind::none:
      break;
  }
  return {};
}

RunStart find_start(Communicator& communicator, const RunIdentity& run, const ResumeChoice& choice) {
  RunStart start;
  try {
    on_rank_0(communicator, [&] {
      start.lock = DirectoryLock(run.configuration.run.dir, patience_with_lock());
      if (choice.kind == Kind::none) require_fresh(checkpoints_of(run.configuration));
    });
    settle_start(communicator, run, choice, start);
  } catch (const Error&) {
    start.lock.withdraw();  // what cannot begin leaves nothing
    throw;
  }
  return start;
}

}  // namespace cola
