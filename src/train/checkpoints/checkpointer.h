// Checkpointer: saves a run's state beside training. At a step's end every rank's state begins to travel
// through host memory to a thread that writes the rank's shard. Once all ranks have theirs on disk, rank 0
// publishes the manifest, again on its thread; only then is the step saved.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/device.h"
#include "dist/communicator.h"
#include "dist/sharded_parameter_store.h"
#include "io/checkpoints/manifest.h"
#include "io/files/write_pace.h"
#include "model/parameter_table.h"
#include "train/background_task.h"
#include "train/checkpoints/snapshot_ring.h"
#include "train/checkpoints/training_state.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// How the saving of a step ended; the same on all ranks.
struct SaveOutcome {
  std::int64_t step = 0;
  double seconds = 0;             // from the snapshot to the commit
  double full_speed_seconds = 0;  // without what checkpoint.bandwidth_mib has held back
  std::string error;              // of the lowest rank that failed, with its number; empty if committed
  int failures_in_a_row = 0;
};

class Checkpointer {
 public:
  /// Allocates the host memory that snapshots pass through; `store` is what is saved, and `configuration`
  /// goes into every manifest. Throws UsageError or DeviceError.
  Checkpointer(Device& device, Communicator& communicator, const ParameterTable& table,
               const ShardedParameterStore& store, const RunConfiguration& configuration);
  /// Gives up what is under way: nothing of it is committed.
  ~Checkpointer();

  /// Begins to save the store as it is now, under the step of `state`. What was under way must have ended.
  void start(const TrainingState& state);
  /// Begins to save and waits for the end, at full speed and priority. Collective.
  SaveOutcome save(const TrainingState& state);
  /// Lets copies go on; between micro-batches. Never blocks.
  void advance();
  /// To be called before the store changes: waits for what is left of the snapshot. Collective: a rank whose
  /// snapshot has to wait for its disk is waited for.
  void finish_snapshot();

  /// Whether a checkpoint is under way; the same on all ranks.
  bool under_way() const { return phase_ != Phase::idle; }
  /// Whether this rank's thread is at work. When no rank's is, proceed() is due.
  bool busy() const { return task_.running(); }
  /// Takes the checkpoint under way one step further; how it ended, once it has. Collective: all ranks at the
  /// same step, none of them busy() (one that is gets waited for).
  std::optional<SaveOutcome> proceed();
  /// Waits until nothing is under way; how that ended, if there was anything. Nothing trains beside the
  /// writing meanwhile, so checkpoint.bandwidth_mib does not count. Collective.
  std::optional<SaveOutcome> wait();

  /// Step of the newest checkpoint this run committed or loaded, -1 before any.
  std::int64_t committed_step() const { return committed_step_; }
  void set_committed_step(std::int64_t step) { committed_step_ = step; }

  /// Under which name shards are staged on a node's own disk (begin_attempt()); the same on all ranks. Before
  /// the first start().
  void set_attempt(std::string attempt) { attempt_ = std::move(attempt); }

  /// What the run trains on, for the manifests. Before the first start().
  void set_data(DataRecord data) { data_ = std::move(data); }

  /// How long training has waited for checkpoints since this was last asked, in seconds.
  double take_blocked_seconds();

 private:
  enum class Phase { idle, shards, manifest };

  bool snapshot_waits_for_disk() const;
  void give_way() const;
  std::string save_shard(std::stop_token stop);
  ShardRecord write_shard(const std::string& folder, WritePace pace);
  Manifest manifest_of(const TrainingState& state) const;
  void wait_for_writers();
  void end_shards();
  std::string publish(const Manifest& manifest, const std::stop_token& stop);
  void retire();
  void clear_abandoned();
  SaveOutcome end();
  double without_sleep(double seconds) const;

  Communicator& communicator_;
  const ParameterTable& table_;
  const ShardedParameterStore& store_;
  RunConfiguration configuration_;
  bool writes_;  // whether this rank has a shard of its own
  RingLayout ring_layout_;

  std::optional<DataRecord> data_;
  Phase phase_ = Phase::idle;
  TrainingState state_;
  bool snapshot_finished_ = false;  // on all ranks
  std::string attempt_ = "0", folder_, error_;
  std::set<std::string> abandoned_;  // folders without a manifest that rank 0 has still to clear away
  std::chrono::steady_clock::time_point started_;
  std::int64_t committed_step_ = -1;
  int failures_in_a_row_ = 0;
  double blocked_seconds_ = 0;
  std::optional<SnapshotRing> ring_;
  std::atomic<bool> unlimited_ = false;  // while training waits for the writer
  double slept_seconds_ = 0;             // of the writer, to keep to checkpoint.bandwidth_mib
  BackgroundTask task_;                  // last: it uses the others
};

}  // namespace cola
