#include "train/progress.h"

#include <fmt/format.h>

#include <cstdio>

#include "core/host.h"
#include "core/log.h"
#include "core/text.h"

namespace cola {

namespace {

constexpr double live_interval_seconds = 0.2;
constexpr double plain_interval_seconds = 10;

// A terminal that is gone, which is no error of the run, takes nothing.
void write_out(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace

std::string progress_line(const StepMetrics& metrics, std::int64_t total_steps, double seconds_left) {
  return fmt::format(
      "step {:>{}}/{} | loss {:.4f} | lr {:.2e} | grad norm {:.3f} | {} tokens/s | {:.1f} % of peak | {} "
      "left",
      metrics.step, std::to_string(total_steps).size(), total_steps, metrics.loss, metrics.learning_rate,
      metrics.gradient_norm, format_count(metrics.tokens_per_second), 100 * metrics.model_flops_utilization,
      format_duration(seconds_left));
}

Progress::Progress(std::int64_t total_steps, bool speaks)
    : total_steps_(total_steps), speaks_(speaks), live_(speaks && stdout_is_terminal()) {}

void Progress::show(const StepMetrics& metrics) {
  if (!speaks_) return;
  seconds_per_step_.add(metrics.step_seconds);
  const auto now = Clock::now();
  const double interval = live_ ? live_interval_seconds : plain_interval_seconds;
  const bool due =
      seconds_per_step_.steps() == 1 || std::chrono::duration<double>(now - last_shown_).count() >= interval;
  if (!due && metrics.step != total_steps_) return;
  last_shown_ = now;
  const double seconds_left = seconds_per_step_.value() * static_cast<double>(total_steps_ - metrics.step);
  const std::string line = progress_line(metrics, total_steps_, seconds_left);
  if (!live_) return log_information(line);
  write_out("\r\033[K" + line);
  line_open_ = true;
}

void Progress::announce(const std::string& message) {
  if (!speaks_) return;
  finish();
  log_information(message);
}

void Progress::finish() {
  if (line_open_) write_out("\n");
  line_open_ = false;
}

}  // namespace cola
