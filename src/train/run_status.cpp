#include "train/run_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/files/durable_file.h"
#include "io/files/run_directory.h"
#include "train/heartbeat.h"

namespace cola {

namespace {

constexpr double silent_seconds = 60;

std::string row(const char* name, const std::string& value) {
  return fmt::format("{:<12}{}\n", name, value);
}

// A run beats every few seconds, but not within a step or while it saves.
bool is_alive(const RunState& run, double age) {
  const bool ended = run.activity == "finished" || run.activity == "stopped" || run.activity == "failed";
  return !ended && age <= silent_seconds + 3 * run.seconds_per_step;
}

std::string describe_activity(const RunState& run, double age) {
  if (is_alive(run, age))
    return fmt::format("{} on {} {}, rank 0 on {}{}", run.activity, run.ranks,
                       run.ranks == 1 ? "rank" : "ranks", run.host,
                       run.job.empty() ? "" : ", job " + run.job);
  if (run.activity == "finished") return "finished";
  if (run.activity == "failed")
    return "failed: " + (run.reason.empty() ? std::string("its log says why") : run.reason);
  if (run.activity == "stopped")
    return "stopped early with a committed checkpoint: resumes when " +
           (run.job.empty() ? "" : fmt::format("job {} is requeued, or ", run.job)) +
           "the same command is run again";
  if (run.activity == "saving") return "saving its last checkpoint, or killed since";
  return fmt::format(
      "no sign of life since it was {}: killed, or its node is lost; run the same command again to resume "
      "from its last commit",
      run.activity);
}

std::string describe_progress(const RunState& run, bool alive) {
  const double share =
      100.0 * static_cast<double>(run.step) / static_cast<double>(std::max<std::int64_t>(1, run.total_steps));
  std::string text = row("step", fmt::format("{} of {} ({:.1f} %)", run.step, run.total_steps, share));
  if (run.seconds_per_step <= 0) return text;
  const double left = run.seconds_per_step * static_cast<double>(run.total_steps - run.step);
  text += row("loss", fmt::format("{:.4f}", run.loss));
  text += row("throughput", fmt::format("{} tokens/s, {:.3g} s a step", format_count(run.tokens_per_second),
                                        run.seconds_per_step));
  if (left > 0) text += row("time left", format_duration(left) + (alive ? "" : ", once it resumes"));
  return text;
}

std::string describe_slow_rank(const RunState& run) {
  return fmt::format("{}{}: {:.3g} s of forward and backward a step, the median rank {:.3g} s", run.slow_rank,
                     run.slow_host.empty() ? "" : " on " + run.slow_host, run.slow_seconds,
                     run.median_seconds);
}

// Steps done since the last commit are what a crash loses.
std::string describe_last_commit(const std::vector<std::string>& checkpoints, std::int64_t step) {
  if (checkpoints.empty()) return "none";
  const std::string name = last_name(checkpoints.back());
  const std::int64_t since = step - checkpoint_step(name).value_or(step);
  return since <= 0 ? name : fmt::format("{}, {} {} ago", name, since, since == 1 ? "step" : "steps");
}

}  // namespace

std::string describe_run(const std::string& directory, std::int64_t now) {
  const std::string folder = checkpoints_folder(directory);
  const std::vector<std::string> checkpoints =
      std::filesystem::is_directory(folder) ? committed_checkpoints(folder) : std::vector<std::string>();
  const std::optional<RunState> run = read_heartbeat(directory);
  if (!run && checkpoints.empty())
    throw UsageError("{}: no run directory: it has neither {} nor {}", directory, heartbeat_name,
                     checkpoints_name);
  std::string text;
  if (run) {
    const double age = static_cast<double>(std::max<std::int64_t>(0, now - run->written));
    text += row("run", run->name) + row("state", describe_activity(*run, age)) +
            describe_progress(*run, is_alive(*run, age));
    text += row("heartbeat", format_duration(age) + " ago");
    if (run->slow_rank >= 0 && is_alive(*run, age)) text += row("slow rank", describe_slow_rank(*run));
    if (run->job_end > now && is_alive(*run, age))
      text += row("job ends in", format_duration(static_cast<double>(run->job_end - now)));
  }
  return text + row("last commit", describe_last_commit(checkpoints, run ? run->step : 0));
}

}  // namespace cola
