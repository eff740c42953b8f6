// StopCondition: whether a run should end before its last step, and why: a signal that any rank received, or
// the job's time limit. All ranks come to the same answer at the same place.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "dist/communicator.h"
#include "dist/placement/environment_variables.h"
#include "train/stop_signal.h"

namespace cola {

using SystemTime = std::chrono::system_clock::time_point;

/// When this job will be killed: the earliest of SLURM_JOB_END_TIME, of COLA_JOB_END_TIME, which job scripts
/// set under other schedulers (both in seconds since 1970), and of `now` plus `time_limit` seconds (0: none).
/// Throws UsageError for a variable that is no number.
std::optional<SystemTime> find_job_end(const VariableLookup& lookup, std::int64_t time_limit, SystemTime now);

class StopCondition {
 public:
  /// `signal` outlives the condition. `least_margin` seconds are kept before `job_end` in any case, for the
  /// program's own end. `checkpoint_guess` is the time that a checkpoint takes until one was made.
  StopCondition(Communicator& communicator, const StopSignal& signal, std::optional<SystemTime> job_end,
                double least_margin, double checkpoint_guess);

  /// Asks all ranks whether to stop now. Collective: one all-reduce of a number. Once true, it stays true.
  bool ask();
  /// The same of signals alone, whatever the job's end.
  bool ask_for_signal();
  /// What was answered last.
  bool requested() const { return cause_ != 0; }
  /// "SIGUSR1" or "the time limit"; empty if there is no reason to stop.
  std::string cause() const;

  /// What a step and a checkpoint took, in seconds.
  void learn_step(double seconds);
  void learn_checkpoint(double seconds) { checkpoint_seconds_ = seconds; }

  /// Seconds before the job's end at which the run stops: the least margin, two steps and two checkpoints.
  double margin() const { return least_margin_ + 2 * (step_seconds_ + checkpoint_seconds_); }
  /// Seconds until the job is killed; nothing without a limit.
  std::optional<double> seconds_left() const;
  /// Whether no more than a few steps fit in before the run stops for the job's end.
  bool is_near() const;

 private:
  bool agree_on(std::int64_t own_cause);
  std::int64_t local_cause() const;

  Communicator& communicator_;
  const StopSignal& signal_;
  std::optional<SystemTime> job_end_;
  double least_margin_, checkpoint_seconds_;
  double step_seconds_ = 0;  // the longest of late
  std::int64_t cause_ = 0;   // agreed: a signal's number, or time_limit
};

}  // namespace cola
