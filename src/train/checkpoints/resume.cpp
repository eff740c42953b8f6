#include "train/checkpoints/resume.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "dist/launch_environment.h"
#include "io/checkpoint_directory.h"
#include "io/durable_file.h"
#include "io/shard_file.h"
#include "model/shard_map.h"
#include "train/agreement.h"
#include "train/checkpoints/staged_checkpoint.h"

namespace cola {

namespace {

// A job that was restarted after a node was lost may begin before the file system has noticed that the lock's
// holder is gone.
std::chrono::seconds patience_with_lock() {
  return std::chrono::seconds(read_restarts(environment_variable) > 0 ? 180 : 0);
}

// Each rank reads its share of the shards. What is wrong is known on all ranks; empty if nothing is.
std::string find_damage_together(Communicator& communicator, const std::string& folder) {
  const std::string own = error_of_slow(
      communicator, [&] { verify_checkpoint(folder, communicator.rank(), communicator.size()); });
  const std::vector<std::string> found = communicator.all_gather(own);
  const auto first = std::find_if(found.begin(), found.end(), [](const auto& text) { return !text.empty(); });
  return first == found.end() ? std::string() : *first;
}

std::string find_newest_intact(Communicator& communicator, const std::string& directory) {
  std::vector<std::string> candidates;  // on rank 0, the newest last
  on_rank_0(communicator, [&] { candidates = committed_checkpoints(directory); });
  for (bool any = false;; any = true) {
    const std::string folder = shared_text(communicator, candidates.empty() ? "" : candidates.back());
    if (folder.empty() && any) throw UsageError("{}: none of its checkpoints is intact", directory);
    if (folder.empty()) return {};
    const std::string damage = find_damage_together(communicator, folder);
    if (damage.empty()) return folder;
    if (communicator.rank() != 0) continue;
    warning("{}; falling back to the checkpoint before it", damage);
    candidates.pop_back();
  }
}

std::string find_chosen(Communicator& communicator, const std::string& chosen) {
  std::string folder;
  on_rank_0(communicator, [&] { folder = resolve_checkpoint(chosen); });
  folder = shared_text(communicator, folder);
  const std::string damage = find_damage_together(communicator, folder);
  if (!damage.empty()) throw UsageError("{}", damage);
  return folder;
}

void require_fresh(const std::string& directory) {
  if (!committed_checkpoints(directory).empty())
    throw UsageError(
        "--resume none: {} already holds checkpoints, which a fresh start would mix with; set another "
        "run.dir, or remove them",
        directory);
}

// Throws UsageError if the run would go on as another model, or with other samples, than the checkpoint was
// trained with.
void require_same_run(const Manifest& manifest, const ParameterTable& table,
                      const RunConfiguration& configuration, const std::string& folder) {
  require_same_parameters(manifest, table, folder);
  if (manifest.configuration.empty()) return;  // made elsewhere
  const RunConfiguration before = parse_run_configuration(manifest.configuration, folder + "/manifest.json");
  if (before.model != configuration.model)
    throw UsageError("{}: was trained with other settings under model: (cola_ckpt show --config prints them)",
                     folder);
  if (manifest.next_sample == 0) return;  // imported weights: no sample has been seen yet
  if (manifest.seed != configuration.run.seed ||
      before.data.sequence_length != configuration.data.sequence_length)
    throw UsageError(
        "{}: was trained with run.seed {} and data.sequence_length {}, others would change the samples",
        folder, manifest.seed, before.data.sequence_length);
}

void prepare_directory(const std::string& directory, const std::string& resumed_folder) {
  make_durable_folder(directory);
  for (const std::string& removed : remove_orphans(directory))
    information("removed {}, left by a crash", removed);
  if (resumed_folder.empty()) return;
  const std::int64_t step = read_manifest(resumed_folder).step;
  for (const std::string& moved : set_aside_newer_checkpoints(directory, step))
    information("set a newer checkpoint aside as {}", moved);
}

// What lies between a shard's ranges, which rise, is in no checkpoint.
void zero_padding(std::span<const ShardRange> ranges, std::span<float> values) {
  auto end = values.begin();
  for (const ShardRange& range : ranges) {
    std::fill(end, values.begin() + range.local, 0.0f);
    end = values.begin() + range.local + range.elements();
  }
  std::fill(end, values.end(), 0.0f);
}

std::uint64_t checkpoint_bytes(const ParameterTable& table) {
  return static_cast<std::uint64_t>(table.stored_elements()) * all_state_tensors.size() * sizeof(float);
}

}  // namespace

ResumeChoice parse_resume(const std::string& text) {
  if (text == "auto") return {ResumeChoice::Kind::newest, {}};
  if (text == "none") return {ResumeChoice::Kind::none, {}};
  return {ResumeChoice::Kind::folder, text};
}

std::string checkpoints_of(const RunConfiguration& configuration) {
  return configuration.run.dir + "/checkpoints";
}

std::string find_checkpoint(Communicator& communicator, const RunConfiguration& configuration,
                            const ResumeChoice& choice) {
  switch (choice.kind) {
    case ResumeChoice::Kind::newest:
      return find_newest_intact(communicator, checkpoints_of(configuration));
    case ResumeChoice::Kind::folder:
      return find_chosen(communicator, choice.folder);
    case ResumeChoice::Kind::none:
      break;
  }
  return {};
}

RunStart find_start(Communicator& communicator, const ParameterTable& table,
                    const RunConfiguration& configuration, const ResumeChoice& choice) {
  const std::string directory = checkpoints_of(configuration);
  RunStart start;
  if (choice.kind == ResumeChoice::Kind::none) on_rank_0(communicator, [&] { require_fresh(directory); });
  if (choice.kind == ResumeChoice::Kind::folder) start.folder = find_chosen(communicator, choice.folder);
  on_rank_0(communicator, [&] { start.lock = DirectoryLock(configuration.run.dir, patience_with_lock()); });
  if (configuration.checkpoint.local_dir) {
    if (choice.kind == ResumeChoice::Kind::newest) commit_staged_checkpoint(communicator, configuration);
    clear_staged_checkpoints(communicator, configuration);
  }
  if (choice.kind == ResumeChoice::Kind::newest) start.folder = find_newest_intact(communicator, directory);
  std::string own;  // rank 0's word: other nodes may see a new directory later
  on_rank_0(communicator, [&] {
    if (!start.folder.empty())
      require_same_run(read_manifest(start.folder), table, configuration, start.folder);
    prepare_directory(directory, start.folder);
    require_free_space(directory, checkpoint_bytes(table), directory + ", for a single checkpoint");
    if (!start.folder.empty() && std::filesystem::equivalent(start.folder + "/..", directory)) own = "own";
    start.attempt = begin_attempt(configuration);
  });
  start.is_own = !shared_text(communicator, own).empty();
  start.attempt = shared_text(communicator, start.attempt);
  return start;
}

TrainingState load_checkpoint(const std::string& folder, Communicator& communicator, Device& device,
                              ShardedParameterStore& store) {
  const Manifest manifest = read_manifest(folder);
  const ShardMap& map = store.shard_map();
  const std::vector<ShardRange> ranges = map.ranges(store.shard());
  // The CPU's memory is read into as it lies; what belongs to a GPU goes through the host's.
  const bool in_place = device.kind() == DeviceKind::cpu;
  std::vector<float> copy(in_place ? 0 : static_cast<std::size_t>(map.shard_elements()));
  const auto fill = [&](StateTensor tensor, const Tensor& destination) {
    const std::span<float> values = in_place ? destination.span<float>() : std::span(copy);
    const std::string error = error_of_slow(communicator, [&] {
      zero_padding(ranges, values);
      read_ranges(folder, manifest, tensor, ranges, values);
    });
    if (!error.empty()) throw FileError("{}", error);
    if (!in_place) device.copy_from_host(destination.data(), copy.data(), destination.bytes());
  };
  fill(StateTensor::weights, store.master_weights());
  fill(StateTensor::exp_avg, store.exp_avg());
  fill(StateTensor::exp_avg_sq, store.exp_avg_sq());
  device.synchronize();
  store.publish_weights();
  return {manifest.step, manifest.next_sample, manifest.tokens};
}

}  // namespace cola
