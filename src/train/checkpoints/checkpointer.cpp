#include "train/checkpoints/checkpointer.h"

#include <array>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/fault_point.h"
#include "core/log.h"
#include "core/priority.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/checkpoints/shard_writer.h"
#include "io/checkpoints/staged_shard.h"
#include "train/agreement.h"

namespace cola {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double mebibyte = 1024.0 * 1024.0;

// Adds the time from its making to its end.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() { seconds_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& seconds_;
  Clock::time_point start_ = Clock::now();
};

// While training waits, nothing is gained by writing slowly.
class LiftedLimit {
 public:
  explicit LiftedLimit(std::atomic<bool>& unlimited)
      : unlimited_(unlimited), before_(unlimited.exchange(true)) {}
  ~LiftedLimit() { unlimited_ = before_; }
  LiftedLimit(const LiftedLimit&) = delete;
  LiftedLimit& operator=(const LiftedLimit&) = delete;

 private:
  std::atomic<bool>& unlimited_;
  bool before_;
};

// However the writing ends, training does not wait for room in the ring any longer.
class RingReader {
 public:
  explicit RingReader(SnapshotRing& ring) : ring_(ring) {}
  ~RingReader() { ring_.abandon(); }
  RingReader(const RingReader&) = delete;
  RingReader& operator=(const RingReader&) = delete;

 private:
  SnapshotRing& ring_;
};

// What may fail without harm to the checkpoint.
template <typename Action>
void try_to(Action&& action) {
  const std::string trouble = error_of(action);
  if (!trouble.empty()) warning("{}", trouble);
}

}  // namespace

Checkpointer::Checkpointer(Device& device, Communicator& communicator, const ParameterTable& table,
                           const ShardedParameterStore& store, const RunConfiguration& configuration)
    : communicator_(communicator),
      table_(table),
      store_(store),
      configuration_(configuration),
      // Without sharding every rank holds the same state, and the first one writes it.
      writes_(communicator.rank() < store.shard_map().shards()),
      ring_layout_(ring_layout(configuration.checkpoint, store.shard_map().shard_elements())) {
  if (writes_) ring_.emplace(device, ring_layout_);
}

Checkpointer::~Checkpointer() {
  if (ring_) ring_->abandon();
}

void Checkpointer::start(const TrainingState& state) {
  if (under_way()) throw Error("a checkpoint is still under way");
  const Stopwatch blocked(blocked_seconds_);
  phase_ = Phase::shards;
  state_ = state;
  snapshot_finished_ = false;
  started_ = Clock::now();
  slept_seconds_ = 0;
  folder_ = checkpoints_of(configuration_) + "/" + checkpoint_name(state.step);
  if (!writes_) return;
  ring_->start({store_.master_weights(), store_.exp_avg(), store_.exp_avg_sq()});
  task_.start([this](std::stop_token stop) { return save_shard(std::move(stop)); });
}

void Checkpointer::advance() {
  if (phase_ != Phase::shards || !writes_) return;
  const Stopwatch blocked(blocked_seconds_);
  ring_->advance();
}

// The same on all ranks.
bool Checkpointer::snapshot_waits_for_disk() const {
  return ring_layout_.slots * ring_layout_.slot_elements <
         static_cast<std::int64_t>(all_state_tensors.size()) * store_.shard_map().shard_elements();
}

// In any phase: copies may outlast a writer that failed early.
void Checkpointer::finish_snapshot() {
  if (!under_way()) return;
  const Stopwatch blocked(blocked_seconds_);
  if (!snapshot_finished_ && snapshot_waits_for_disk()) {
    const LiftedLimit lifted(unlimited_);
    wait_together(communicator_, [this](auto moment) { return !writes_ || ring_->finishes_within(moment); });
  } else if (!snapshot_finished_ && writes_) {
    ring_->finish();
  }
  snapshot_finished_ = true;
  if (writes_) fault_point("update");
}

// The thread that calls it is one that writes.
void Checkpointer::give_way() const {
  if (configuration_.checkpoint.async && !unlimited_) lower_priority_of_this_thread();
}

// On the writer's thread. Returns the shard's record.
std::string Checkpointer::save_shard(std::stop_token stop) {
  const RingReader reader(*ring_);
  give_way();
  const CheckpointSection& options = configuration_.checkpoint;
  WritePace pace(options.bandwidth_mib * mebibyte, stop, unlimited_, &slept_seconds_);
  if (!options.local_dir) return to_json(write_shard(folder_, std::move(pace)));
  // The node's own disk frees the ring sooner, and holds the shard until the shared one has it.
  const std::string attempt =
      attempt_directory(staging_directory(*options.local_dir, configuration_.run.dir), attempt_);
  const std::string local = attempt + "/" + checkpoint_name(state_.step);
  remove_staged(attempt, shard_name(store_.shard()), local);
  Manifest part = manifest_of(state_);
  part.shards = {write_shard(local, WritePace(0, std::move(stop), unlimited_))};
  stage_shard(local, part);
  drain_shard(local, folder_, part.shards.front(), options.verify, std::move(pace));
  return to_json(part.shards.front());
}

ShardRecord Checkpointer::write_shard(const std::string& folder, WritePace pace) {
  const ShardMap& map = store_.shard_map();
  ShardWriter writer(folder, {store_.shard(), map.shards(), map.ranges(store_.shard())}, map.shard_elements(),
                     std::move(pace));
  for (auto values = ring_->take(); !values.empty(); values = ring_->take()) {
    writer.append(values);
    ring_->give_back();
  }
  return writer.commit(configuration_.checkpoint.verify);
}

std::optional<SaveOutcome> Checkpointer::proceed() {
  if (!under_way()) return std::nullopt;
  const Stopwatch blocked(blocked_seconds_);
  if (phase_ == Phase::shards) {
    end_shards();
    return std::nullopt;
  }
  return end();
}

std::optional<SaveOutcome> Checkpointer::wait() {
  const LiftedLimit lifted(unlimited_);
  finish_snapshot();
  std::optional<SaveOutcome> outcome;
  while (under_way()) {
    wait_for_writers();
    outcome = proceed();
  }
  return outcome;
}

SaveOutcome Checkpointer::save(const TrainingState& state) {
  const LiftedLimit lifted(unlimited_);
  start(state);
  return *wait();
}

void Checkpointer::wait_for_writers() {
  const Stopwatch blocked(blocked_seconds_);
  wait_together(communicator_, [this](auto moment) { return task_.ends_within(moment); });
}

// Every rank has written its shard, or failed to. Rank 0's thread goes on with the manifest, or clears away
// what the others wrote: it would fill a disk that is full already.
void Checkpointer::end_shards() {
  const TaskOutcome own = task_.wait();
  const std::vector<std::string> errors = communicator_.all_gather(own.error);
  const std::vector<std::string> records = communicator_.all_gather(own.result);
  error_.clear();
  for (std::size_t rank = 0; rank < errors.size() && error_.empty(); ++rank)
    if (!errors[rank].empty()) error_ = fmt::format("rank {}: {}", rank, errors[rank]);
  phase_ = Phase::manifest;
  if (communicator_.rank() != 0) return;
  Manifest manifest = manifest_of(state_);
  if (error_.empty())
    for (int shard = 0; shard < store_.shard_map().shards(); ++shard)
      manifest.shards.push_back(shard_record_from_json(records[static_cast<std::size_t>(shard)]));
  task_.start(
      [this, manifest = std::move(manifest)](std::stop_token stop) { return publish(manifest, stop); });
}

Manifest Checkpointer::manifest_of(const TrainingState& state) const {
  return {state.step,
          state.next_sample,
          state.tokens,
          configuration_.run.seed,
          to_yaml(configuration_),
          table_.parameters(),
          table_.units(),
          {},
          data_};
}

// On rank 0's writer thread. Returns why nothing was published, empty if it was.
std::string Checkpointer::publish(const Manifest& manifest, const std::stop_token& stop) {
  if (stop.stop_requested()) return "stopped before the end";  // the run has failed meanwhile
  give_way();
  std::string error = error_;
  if (error.empty()) {
    const std::string own = error_of([&] { publish_manifest(folder_, manifest); });
    if (!own.empty()) error = "rank 0: " + own;
  }
  if (error.empty())
    try_to([&] { retire(); });
  else
    abandoned_.insert(folder_);
  try_to([&] { clear_abandoned(); });
  return error;
}

void Checkpointer::retire() {
  const std::string directory = checkpoints_of(configuration_);
  const std::vector<std::string> before = committed_checkpoints(directory);
  const CheckpointSection& options = configuration_.checkpoint;
  const std::string trouble =
      error_of([&] { retire_old_checkpoints(directory, options.keep, options.keep_every); });
  for (const std::string& folder : before)
    if (!is_committed(folder)) abandoned_.insert(folder);  // in case more than its manifest is left
  if (!trouble.empty()) throw FileError("{}", trouble);
}

// No rank writes now. A failing disk may not let go of a folder before a later time.
void Checkpointer::clear_abandoned() {
  for (auto folder = abandoned_.begin(); folder != abandoned_.end(); folder = abandoned_.erase(folder))
    remove_uncommitted(*folder);
}

SaveOutcome Checkpointer::end() {
  const TaskOutcome own = task_.wait();
  const std::string error = shared_text(communicator_, own.error.empty() ? own.result : own.error);
  phase_ = Phase::idle;
  if (error.empty()) committed_step_ = state_.step;
  failures_in_a_row_ = error.empty() ? 0 : failures_in_a_row_ + 1;
  const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
  return {state_.step, seconds, without_sleep(seconds), error, failures_in_a_row_};
}

// On all ranks what the slowest writer would have needed at full speed. Collective.
double Checkpointer::without_sleep(double seconds) const {
  std::array<std::int64_t, 1> microseconds{
      writes_ ? static_cast<std::int64_t>(1e6 * (seconds - slept_seconds_)) : 0};
  communicator_.all_reduce_maximum(microseconds);
  return 1e-6 * static_cast<double>(microseconds[0]);
}

double Checkpointer::take_blocked_seconds() {
  return std::exchange(blocked_seconds_, 0.0);
}

}  // namespace cola
