// Metrics: the run's log for machines, run.dir/metrics.jsonl, one JSON object a line. Each ends with "time",
// in seconds since 1970.
#pragma once

#include <cstdint>
#include <string>

#include "io/files/durable_file.h"
#include "train/evaluation.h"
#include "train/rank_times.h"

namespace cola {

/// One optimizer step. Tokens and rates count all positions of the global batch, padding included.
struct StepMetrics {
  std::int64_t step = 0;  // counted from 1
  double loss = 0;        // nats a target token, mean over the global batch
  double learning_rate = 0;
  double gradient_norm = 0;             // L2 norm of the whole gradient, before clipping
  std::int64_t tokens = 0;              // trained on since step 0
  std::int64_t step_target_tokens = 0;  // of this step alone: those that are predicted, padding left out
  double tokens_per_second = 0, step_seconds = 0;
  double model_flops_utilization = 0;  // share of the ranks' measured product rate
  double checkpoint_blocked_seconds = 0;
  std::size_t peak_bytes = 0;  // device memory of rank 0
  RankTimes ranks = {};        // of forward and backward
};

/// A disk that takes no more lines does not end a run: they are kept, and written when it does.
class MetricsWriter {
 public:
  /// Opens `path` for appending. Lines of steps beyond `resumed_step` move to a file beside it first
  /// (metrics.abandoned.jsonl): a run that was killed after its last checkpoint repeats those steps. Throws
  /// FileError.
  MetricsWriter(const std::string& path, std::int64_t resumed_step);

  /// The last step that an evaluation is kept of, -1 without one.
  std::int64_t evaluated_step() const { return evaluated_step_; }
  /// How many jobs have put off the evaluation at the resumed step.
  std::int64_t evaluations_put_off() const { return put_off_; }

  void write(const StepMetrics& metrics);
  void write_evaluation(std::int64_t step, const EvaluationResult& result);
  /// A job begins at `step`, after `checkpoint` (a folder; empty: from nothing). `operations_per_token`:
  /// floating-point, of forward and backward.
  void write_start(std::int64_t step, std::int64_t ranks, std::int64_t hosts, const std::string& checkpoint,
                   double operations_per_token);
  /// `full_speed_seconds`: without what checkpoint.bandwidth_mib has held back.
  void write_checkpoint(std::int64_t step, double seconds, double full_speed_seconds);
  void write_evaluation_put_off(std::int64_t step, const std::string& cause);
  /// Anything else worth keeping: {"event": event, "step": step, "message": message}.
  void write_event(const std::string& event, std::int64_t step, const std::string& message);

 private:
  struct KeptLines {
    FileDescriptor file;
    std::int64_t evaluated_step, put_off;
  };
  static KeptLines open_from_step(const std::string& path, std::int64_t resumed_step);
  explicit MetricsWriter(KeptLines kept);

  void write_line(const std::string& line);

  FileDescriptor file_;
  std::int64_t end_;       // of the lines that are in the file
  std::string unwritten_;  // lines that a full disk has not taken yet
  std::int64_t evaluated_step_, put_off_;
};

}  // namespace cola
