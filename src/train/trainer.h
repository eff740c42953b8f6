// Trainer: a run from its first step to its last. Trainer::step is one optimizer step, in the order the
// algorithm has it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "core/device.h"
#include "core/error.h"
#include "dist/communicator.h"
#include "dist/sharded_parameter_store.h"
#include "model/parameter_table.h"
#include "model/transformer.h"
#include "train/batch_loader.h"
#include "train/checkpoints/checkpointer.h"
#include "train/checkpoints/resume.h"
#include "train/checkpoints/training_state.h"
#include "train/configuration/run_configuration.h"
#include "train/heartbeat.h"
#include "train/metrics.h"
#include "train/plan/memory_plan.h"
#include "train/progress.h"
#include "train/schedule.h"
#include "train/stop_condition.h"
#include "train/token_data.h"

namespace cola {

class Trainer {
 public:
  /// Opens the data, collectively and before anything that can fail on one rank alone, and allocates
  /// everything. run.time_limit counts from `started`, of the rank that was the first. Throws UsageError or
  /// FileError, and UsageError before anything is allocated if the device's memory would not do.
  Trainer(const RunConfiguration& configuration, Device& device, Communicator& communicator,
          const StopSignal& signal, SystemTime started);

  /// Brings weights and optimizer to step 0, or to the checkpoint that `resume` finds, and reports what will
  /// run. Collective. Throws UsageError, on all ranks, if there is nothing to start from.
  void start(const ResumeChoice& resume);

  /// Trains to the last step, or until a signal or the time limit asks to stop. Returns the program's exit
  /// code: finished or run again. Throws NumericalError for a loss or gradient that is not finite and
  /// AgreedError for checkpoints that fail. What a single rank meets is said at once and ends the job; where
  /// there is one rank alone, ReportedError is thrown.
  ExitCode run();

  /// Leaves in the heartbeat why the run ends, where it is this rank that is to say it and none has before.
  /// Not before this job holds the run directory: another's run may be alive there. Any thread may call it.
  /// It returns soon, whatever the file system does.
  void note_failure(const std::exception& error) const noexcept;

 private:
  StepMetrics step();
  double forward_backward();
  float clip_factor(double gradient_norm) const;
  void require_finite(double local_loss, double loss, double gradient_norm);
  void add_rates(StepMetrics& metrics, double seconds) const;

  void after_step(StepMetrics& metrics);
  void make_up_evaluation();
  void evaluate_model();
  bool stop_is_asked_for_in_evaluation();
  void start_checkpoint();
  void proceed_with_checkpoint();
  void report(const SaveOutcome& saved);
  void save_last_step();
  bool evaluation_is_due() const;
  ExitCode train();
  void note_own_failure(const std::string& reason) const;
  [[noreturn]] void end_alone(const std::exception& error);
  ExitCode finish();

  void learn_past_pace();
  void open_run_directory(bool is_finished);
  void warn_of_short_job() const;
  void warn_of_full_disk() const;
  void report_start(const RunStart& start) const;
  std::string describe_memory_of_rank() const;
  std::string describe_data() const;
  std::string describe_epochs() const;
  bool speaks() const { return communicator_.rank() == 0; }
  bool is_due(std::int64_t every) const { return every > 0 && state_.step % every == 0; }
  bool finished() const { return state_.step >= configuration_.schedule.total_steps; }

  RunConfiguration configuration_;
  Device& device_;
  Communicator& communicator_;
  SystemTime started_;  // the first of all ranks
  ParameterTable table_;
  RunData data_;
  DataType compute_type_;
  MemoryLimit memory_limit_;  // of a rank's device
  double product_rate_;       // operations a second of plain products: of this rank, then of all
  BatchLoader loader_;
  LearningRateSchedule schedule_;
  Transformer model_;
  ShardedParameterStore store_;
  DirectoryLock lock_;  // rank 0's, on the run directory; outlives the checkpointer, which writes there
  std::atomic<bool> holds_run_ = false;  // whether rank 0 has that lock
  Checkpointer checkpointer_;
  std::optional<SystemTime> job_end_;
  StopCondition stop_;
  Progress progress_;
  Heartbeat heartbeat_;
  std::unique_ptr<MetricsWriter> metrics_;  // on rank 0
  TrainingState state_;
  double operations_per_token_ = 0;
  std::int64_t evaluated_step_ = -1, evaluations_put_off_ = 0;  // in jobs before, of the step they ended at
};

}  // namespace cola
