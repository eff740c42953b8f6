// Progress: the run's log for people. One live line on a terminal, a plain line now and then elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "train/metrics.h"
#include "train/step_average.h"

namespace cola {

/// Step, loss, learning rate, gradient norm, rate, share of peak and time left.
std::string progress_line(const StepMetrics& metrics, std::int64_t total_steps, double seconds_left);

class Progress {
 public:
  /// Silent where `speaks` is false (every rank but 0).
  Progress(std::int64_t total_steps, bool speaks);

  void show(const StepMetrics& metrics);
  /// A message of its own line, above the live one.
  void announce(const std::string& message);
  /// Ends the live line.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  std::int64_t total_steps_;
  bool speaks_, live_;
  bool line_open_ = false;
  StepAverage seconds_per_step_;
  Clock::time_point last_shown_{};
};

}  // namespace cola
