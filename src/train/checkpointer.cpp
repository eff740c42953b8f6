#include "train/checkpointer.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "io/checkpoint_directory.h"
#include "io/shard_file.h"

namespace cola {

namespace {

using Json = nlohmann::json;

// A shard's state in host memory: where it lies on the CPU, a copy of it otherwise.
class HostState {
 public:
  HostState(Device& device, const ShardedParameterStore& store)
      : weights_(device, store.master_weights()),
        exp_avg_(device, store.exp_avg()),
        exp_avg_sq_(device, store.exp_avg_sq()) {}
  ShardState view() const { return {weights_.values, exp_avg_.values, exp_avg_sq_.values}; }

 private:
  struct Part {
    Part(Device& device, const Tensor& tensor) {
      if (device.kind() == DeviceKind::cpu) {
        values = tensor.span<float>();
        return;
      }
      copy.resize(static_cast<std::size_t>(tensor.elements()));
      device.copy_to_host(copy.data(), tensor.data(), tensor.bytes());
      values = copy;
    }
    std::vector<float> copy;
    std::span<const float> values;
  };
  Part weights_, exp_avg_, exp_avg_sq_;
};

// What a rank tells the others of its shard: the record, or an error, or nothing if it wrote none.
std::string describe(const ShardRecord& record) {
  return Json{{"file", record.file}, {"bytes", record.bytes}, {"checksum", record.checksum}}.dump();
}

// Runs `action` and returns its error as text, empty if there was none.
template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

// Rank 0's word for all ranks.
std::string shared_text(Communicator& communicator, const std::string& text) {
  return communicator.all_gather(communicator.rank() == 0 ? text : std::string()).front();
}

// Throws UsageError if the run would go on as another model, or with other samples, than the checkpoint was
// trained with.
void require_same_run(const Manifest& manifest, const ParameterTable& table,
                      const RunConfiguration& configuration, const std::string& folder) {
  require_same_parameters(manifest, table, folder);
  if (manifest.configuration.empty()) return;  // imported weights bring none
  const RunConfiguration before = parse_run_configuration(manifest.configuration, folder + "/manifest.json");
  if (before.model != configuration.model)
    throw UsageError("{}: was trained with other settings under model: (cola_ckpt show --config prints them)",
                     folder);
  if (manifest.seed != configuration.run.seed ||
      before.data.sequence_length != configuration.data.sequence_length)
    throw UsageError(
        "{}: was trained with run.seed {} and data.sequence_length {}, others would change the samples",
        folder, manifest.seed, before.data.sequence_length);
}

}  // namespace

ResumeChoice parse_resume(const std::string& text) {
  if (text == "auto") return {ResumeChoice::Kind::newest, {}};
  if (text == "none") return {ResumeChoice::Kind::none, {}};
  return {ResumeChoice::Kind::folder, text};
}

Checkpointer::Checkpointer(Device& device, Communicator& communicator, const ParameterTable& table,
                           std::string directory, std::int64_t keep)
    : device_(device),
      communicator_(communicator),
      table_(table),
      directory_(std::move(directory)),
      keep_(keep) {}

std::string Checkpointer::find(const ResumeChoice& choice, const RunConfiguration& configuration) {
  std::string folder;
  std::string error;
  if (communicator_.rank() == 0) {
    error = error_of([&] {
      if (choice.kind == ResumeChoice::Kind::none && !committed_checkpoints(directory_).empty())
        throw UsageError(
            "--resume none: {} already holds checkpoints, which a fresh start would mix with; set another "
            "run.dir, or remove them",
            directory_);
      if (choice.kind == ResumeChoice::Kind::newest) folder = find_newest_intact();
      if (choice.kind == ResumeChoice::Kind::folder) {
        folder = resolve_checkpoint(choice.folder);
        verify_checkpoint(folder);
      }
      if (!folder.empty()) require_same_run(read_manifest(folder), table_, configuration, folder);
      lock_ = DirectoryLock(std::filesystem::path(directory_).parent_path().string());
      prepare_directory(folder);
    });
  }
  error = shared_text(communicator_, error);
  if (!error.empty()) throw UsageError("{}", error);
  return shared_text(communicator_, folder);
}

std::string Checkpointer::find_newest_intact() const {
  const std::vector<std::string> all = committed_checkpoints(directory_);
  for (auto folder = all.rbegin(); folder != all.rend(); ++folder) {
    const std::string damage = error_of([&] { verify_checkpoint(*folder); });
    if (damage.empty()) return *folder;
    warning("{}; falling back to the checkpoint before it", damage);
  }
  if (!all.empty()) throw UsageError("{}: none of its {} checkpoints is intact", directory_, all.size());
  return {};
}

void Checkpointer::prepare_directory(const std::string& resumed_folder) const {
  std::filesystem::create_directories(directory_);
  for (const std::string& removed : remove_orphans(directory_))
    information("removed {}, left by a crash", removed);
  if (resumed_folder.empty()) return;
  const std::int64_t step = read_manifest(resumed_folder).step;
  for (const std::string& moved : set_aside_newer_checkpoints(directory_, step))
    information("set a newer checkpoint aside as {}", moved);
}

TrainingState Checkpointer::load(const std::string& folder, ShardedParameterStore& store) {
  const Manifest manifest = read_manifest(folder);
  const ShardMap& map = store.shard_map();
  const std::vector<ShardRange> ranges = map.ranges(store.shard());
  std::vector<float> values(static_cast<std::size_t>(map.shard_elements()));
  const auto fill = [&](StateTensor tensor, const Tensor& destination) {
    std::fill(values.begin(), values.end(), 0.0f);
    read_ranges(folder, manifest, tensor, ranges, values);
    device_.copy_from_host(destination.data(), values.data(), destination.bytes());
  };
  fill(StateTensor::weights, store.master_weights());
  fill(StateTensor::exp_avg, store.exp_avg());
  fill(StateTensor::exp_avg_sq, store.exp_avg_sq());
  device_.synchronize();
  store.publish_weights();
  committed_step_ = manifest.step;
  return {manifest.step, manifest.next_sample, manifest.tokens};
}

std::string Checkpointer::save(const TrainingState& state, const ShardedParameterStore& store,
                               std::uint64_t seed, const std::string& configuration_yaml) {
  const std::string folder = directory_ + "/" + checkpoint_name(state.step);
  // Without sharding every rank holds the same state, and the first one writes it.
  const bool writes = communicator_.rank() < store.shard_map().shards();
  std::string shard_text;
  std::string error = error_of([&] {
    if (!writes) return;
    std::filesystem::create_directories(folder);
    const HostState host(device_, store);
    shard_text = describe(write_shard(folder, store.shard(), store.shard_map(), host.view()));
  });
  const std::vector<std::string> errors = communicator_.all_gather(error);
  for (std::size_t rank = 0; rank < errors.size(); ++rank)
    if (!errors[rank].empty()) {
      abandon(folder);
      return fmt::format("rank {}: {}", rank, errors[rank]);
    }
  error = commit(state, folder, shard_text, store.shard_map(), seed, configuration_yaml);
  if (error.empty())
    committed_step_ = state.step;
  else
    abandon(folder);
  return error;
}

// What other ranks wrote of a checkpoint that failed would fill the disk that is full already.
void Checkpointer::abandon(const std::string& folder) const {
  if (communicator_.rank() != 0) return;
  const std::string error = error_of([&] {
    if (!is_committed(folder)) std::filesystem::remove_all(folder);
  });
  if (!error.empty()) warning("{}", error);
}

std::string Checkpointer::commit(const TrainingState& state, const std::string& folder,
                                 const std::string& shard_text, const ShardMap& map, std::uint64_t seed,
                                 const std::string& configuration_yaml) {
  const std::vector<std::string> texts = communicator_.all_gather(shard_text);
  std::string error;
  if (communicator_.rank() == 0) {
    error = error_of([&] {
      Manifest manifest{state.step,         state.next_sample,   state.tokens,   seed,
                        configuration_yaml, table_.parameters(), table_.units(), {}};
      for (int shard = 0; shard < map.shards(); ++shard) {
        const Json record = Json::parse(texts[static_cast<std::size_t>(shard)]);
        manifest.shards.push_back(
            {record.at("file"), record.at("bytes"), record.at("checksum"), map.ranges(shard)});
      }
      publish_manifest(folder, manifest);
    });
    if (error.empty()) {
      const std::string retirement = error_of([&] { retire_old_checkpoints(directory_, keep_); });
      if (!retirement.empty()) warning("{}; older checkpoints stay", retirement);
    }
  }
  return shared_text(communicator_, error);
}

}  // namespace cola
