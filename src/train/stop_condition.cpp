#include "train/stop_condition.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/error.h"

namespace cola {

namespace {

using Seconds = std::chrono::duration<double>;

// Beyond the number of any signal.
constexpr std::int64_t time_limit_cause = 1 << 10;

std::int64_t read_seconds(const char* name, const std::string& text) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size())
    throw UsageError("environment variable {} is '{}', not a number of seconds since 1970", name, text);
  return seconds;
}

}  // namespace

std::optional<SystemTime> find_job_end(const VariableLookup& lookup, std::int64_t time_limit,
                                       SystemTime now) {
  std::optional<SystemTime> end;
  if (time_limit > 0) end = now + std::chrono::seconds(time_limit);
  for (const char* variable : {"SLURM_JOB_END_TIME", "COLA_JOB_END_TIME"}) {
    const std::optional<std::string> text = lookup(variable);
    if (!text || text->empty()) continue;
    const SystemTime told(std::chrono::seconds(read_seconds(variable, *text)));
    if (!end || told < *end) end = told;
  }
  return end;
}

StopCondition::StopCondition(Communicator& communicator, const StopSignal& signal,
                             std::optional<SystemTime> job_end, double least_margin, double checkpoint_guess)
    : communicator_(communicator),
      signal_(signal),
      job_end_(job_end),
      least_margin_(least_margin),
      checkpoint_seconds_(checkpoint_guess) {}

// A signal may reach some ranks only, or at different steps, and clocks differ: the largest cause that any
// rank sees counts for all.
bool StopCondition::ask() {
  return agree_on(local_cause());
}

bool StopCondition::ask_for_signal() {
  return agree_on(signal_.received());
}

bool StopCondition::agree_on(std::int64_t own_cause) {
  if (requested()) return true;
  std::array<std::int64_t, 1> cause{own_cause};
  communicator_.all_reduce_maximum(cause);
  cause_ = cause[0];
  return requested();
}

std::int64_t StopCondition::local_cause() const {
  if (const int signal = signal_.received(); signal != 0) return signal;
  const std::optional<double> left = seconds_left();
  return left && *left < margin() ? time_limit_cause : 0;
}

std::string StopCondition::cause() const {
  if (cause_ == 0) return {};
  return cause_ == time_limit_cause ? "the time limit" : signal_name(static_cast<int>(cause_));
}

// The longest counts, and is forgotten slowly: one quick step must not make the next slow one come too late.
void StopCondition::learn_step(double seconds) {
  step_seconds_ = std::max(seconds, 0.95 * step_seconds_);
}

bool StopCondition::is_near() const {
  constexpr int few_steps = 3;
  const std::optional<double> left = seconds_left();
  return left && *left < margin() + few_steps * step_seconds_;
}

std::optional<double> StopCondition::seconds_left() const {
  if (!job_end_) return std::nullopt;
  return Seconds(*job_end_ - std::chrono::system_clock::now()).count();
}

}  // namespace cola
