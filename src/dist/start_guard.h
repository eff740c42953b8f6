// StartGuard: ends a rank that does not get as far as training. A sick GPU or network card, a file system
// that stands still or a rank that never started would hold up all of the job, before the session's watchdog
// looks.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>

#include "dist/placement/launch_environment.h"
#include "dist/watchdog.h"

namespace cola {

class StartGuard {
 public:
  /// Guards from here on, for 10 minutes, or for COLA_START_TIMEOUT seconds where the environment says so (0:
  /// for ever). Does nothing without a launcher. When time is up one line names rank, host and stage, and the
  /// job ends with exit_failed. Time in which the process was suspended does not count. Throws UsageError for
  /// a COLA_START_TIMEOUT that is no number.
  explicit StartGuard(const std::optional<LaunchEnvironment>& launched);
  ~StartGuard();
  StartGuard(const StartGuard&) = delete;
  StartGuard& operator=(const StartGuard&) = delete;

  /// What follows, as in "waiting in MPI_Init". `stage` outlives the guard.
  void enter(const char* stage) { stage_ = stage; }

  /// parallel.timeout_seconds, once it is known: a longer one holds for the start as well; 0: for ever.
  void allow(std::chrono::seconds timeout);

  /// The start is over, or others watch from here on.
  void dismiss();

 private:
  std::atomic<const char*> stage_{"the program's start"};
  std::chrono::seconds limit_{0};
  std::optional<Watchdog> watchdog_;
  std::optional<Watchdog::Inside> start_;
};

}  // namespace cola
