// Heartbeat: a small file in the run directory that says what the run is doing and how far it is. It is
// replaced whole every few seconds by rank 0, so that a reader on another machine sees one state or the next.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "train/configuration/run_configuration.h"
#include "train/metrics.h"
#include "train/rank_times.h"
#include "train/step_average.h"
#include "train/stop_condition.h"

namespace cola {

/// What is known of a run at one moment. Times are seconds, moments seconds since 1970.
struct RunState {
  std::string name, activity;  // activity: starting, training, evaluating, saving, finished, stopped, failed
  std::string reason;          // why it failed, in the words of its error
  std::string host, job;       // of rank 0; job: the scheduler's number, empty outside of a job
  std::int64_t ranks = 1;
  std::int64_t step = 0, total_steps = 0;
  double loss = 0, tokens_per_second = 0, seconds_per_step = 0;  // rates: of late, smoothed
  std::int64_t started = 0, written = 0;
  std::int64_t job_end = 0;                     // 0: not known
  std::int64_t slow_rank = -1;                  // see SlowRankSearch; -1: none
  std::string slow_host;                        // its
  double slow_seconds = 0, median_seconds = 0;  // of forward and backward: that rank's, the median rank's
  bool operator==(const RunState&) const = default;
};

/// What is known before the first step.
RunState state_at_start(const RunConfiguration& configuration, int ranks, std::optional<SystemTime> job_end);

class Heartbeat {
 public:
  /// Writes DIRECTORY/heartbeat.json where `beats` (rank 0), nothing elsewhere.
  Heartbeat(const std::string& directory, const RunState& first, bool beats);

  /// What the next beats will say; at the start, also what the last one said of the same step.
  void note_start(std::int64_t step);
  void note_step(const StepMetrics& metrics);
  /// The ranks' hosts, by rank.
  void set_hosts(std::vector<std::string> hosts) { hosts_ = std::move(hosts); }
  /// Writes the state at the first step, and five seconds after the last time or later, unless a rank has
  /// said since that it failed. A file that cannot be written is left as it is: training goes on.
  void beat(const std::string& activity);
  /// Writes the state at once.
  void last_word(const std::string& activity);
  /// The last word of a run that an error ends, whatever ranks have said.
  void fail(const std::string& reason);

 private:
  using Clock = std::chrono::steady_clock;
  void note_slow_rank(const RankTimes& step);
  void write(const std::string& activity) noexcept;

  std::string path_;
  RunState state_;
  bool beats_;
  StepAverage seconds_per_step_, tokens_per_step_;
  SlowRankSearch slow_ranks_;
  std::vector<std::string> hosts_;
  Clock::time_point last_written_{};
  bool has_written_ = false;  // in this job
};

/// Whether DIRECTORY/heartbeat.json says that the job which began at `job_start` has failed. What the next
/// rank says mostly follows from that: the first word counts.
bool failure_is_known(const std::string& directory, SystemTime job_start) noexcept;

/// Changes DIRECTORY/heartbeat.json, where there is one, to say that the run has failed and why, unless that
/// is known: for the rank that meets the error, whichever it is. Rank 0, which may write there at the same
/// time, ends soon after.
void mark_failed(const std::string& directory, const std::string& reason, SystemTime job_start) noexcept;

/// Removes what ranks of jobs before, killed as they wrote a heartbeat, have left in `directory`.
void remove_unfinished_heartbeats(const std::string& directory) noexcept;

/// The state that DIRECTORY/heartbeat.json holds; nothing if there is none. Throws FileError for another
/// file.
std::optional<RunState> read_heartbeat(const std::string& directory);

}  // namespace cola
