// Trainer: a run from its first step to its last. Trainer::step is one optimizer step, in the order the
// algorithm has it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/device.h"
#include "core/error.h"
#include "dist/communicator.h"
#include "dist/sharded_parameter_store.h"
#include "io/dataset.h"
#include "model/parameter_table.h"
#include "model/transformer.h"
#include "train/batch_loader.h"
#include "train/checkpoints/checkpointer.h"
#include "train/checkpoints/resume.h"
#include "train/configuration/run_configuration.h"
#include "train/heartbeat.h"
#include "train/metrics.h"
#include "train/progress.h"
#include "train/schedule.h"
#include "train/stop_condition.h"

namespace cola {

class Trainer {
 public:
  /// Opens the data, collectively and before anything that can fail on one rank alone, and allocates
  /// everything. Throws UsageError or FileError, and UsageError before anything is allocated if the device's
  /// memory would not do.
  Trainer(const RunConfiguration& configuration, Device& device, Communicator& communicator,
          const StopSignal& signal);

  /// Brings weights and optimizer to step 0, or to the checkpoint that `resume` finds, and reports what will
  /// run. Collective. Throws UsageError, on all ranks, if there is nothing to start from.
  void start(const ResumeChoice& resume);

  /// Trains to the last step, or until a signal or the time limit asks to stop. Returns the program's exit
  /// code: finished or run again. Throws NumericalError for a loss or gradient that is not finite,
  /// AgreedError for checkpoints that fail, and what a single rank meets.
  ExitCode run();

 private:
  StepMetrics step();
  double forward_backward();
  float clip_factor(double gradient_norm) const;
  void require_finite(double local_loss, double loss, double gradient_norm);
  void add_rates(StepMetrics& metrics, double seconds) const;

  void after_step(StepMetrics& metrics);
  void evaluate_model();
  void start_checkpoint();
  void proceed_with_checkpoint();
  void report(const SaveOutcome& saved);
  void save_last_step();
  bool evaluation_is_due() const;
  ExitCode train();
  ExitCode finish();

  void open_run_directory();
  void report_start(const std::string& resumed_folder) const;
  std::string describe_memory_of_rank() const;
  std::string describe_data() const;
  bool speaks() const { return communicator_.rank() == 0; }
  bool is_due(std::int64_t every) const { return every > 0 && state_.step % every == 0; }
  bool finished() const { return state_.step >= configuration_.schedule.total_steps; }

  RunConfiguration configuration_;
  Device& device_;
  Communicator& communicator_;
  ParameterTable table_;
  TokenDataset training_data_, validation_data_;
  DataType compute_type_;
  double product_rate_;  // operations a second of plain products: of this rank, then of all
  BatchLoader loader_;
  LearningRateSchedule schedule_;
  Transformer model_;
  ShardedParameterStore store_;
  Checkpointer checkpointer_;
  StopCondition stop_;
  Progress progress_;
  Heartbeat heartbeat_;
  std::unique_ptr<MetricsWriter> metrics_;  // on rank 0
  TrainingState state_;
  DirectoryLock lock_;  // rank 0's, on the run directory
  double operations_per_token_ = 0;
  std::int64_t evaluated_step_ = -1;
};

}  // namespace cola
