#include "train/run_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/error.h"
#include "io/checkpoint_directory.h"
#include "io/durable_file.h"
#include "train/heartbeat.h"
#include "train/progress.h"

namespace cola {

namespace {

constexpr double silent_seconds = 60;

std::string row(const char* name, const std::string& value) {
  return fmt::format("{:<12}{}\n", name, value);
}

// A run beats every few seconds, but not within a step or while it saves.
std::string describe_activity(const RunState& run, double age) {
  if (run.activity == "finished") return "finished";
  if (run.activity == "stopped")
    return "stopped early with a committed checkpoint: run the same command to go on";
  if (run.activity == "failed") return "failed: its log says why";
  if (age <= silent_seconds + 3 * run.seconds_per_step)
    return fmt::format("{} on {} {}, rank 0 on {}{}", run.activity, run.ranks,
                       run.ranks == 1 ? "rank" : "ranks", run.host,
                       run.job.empty() ? "" : ", job " + run.job);
  if (run.activity == "saving") return "saving its last checkpoint, or killed since";
  return fmt::format("no sign of life since it was {}: killed, or its node is lost", run.activity);
}

std::string describe_progress(const RunState& run) {
  const double share =
      100.0 * static_cast<double>(run.step) / static_cast<double>(std::max<std::int64_t>(1, run.total_steps));
  std::string text = row("step", fmt::format("{} of {} ({:.1f} %)", run.step, run.total_steps, share));
  if (run.seconds_per_step <= 0) return text;
  const double left = run.seconds_per_step * static_cast<double>(run.total_steps - run.step);
  text += row("loss", fmt::format("{:.4f}", run.loss));
  text += row("throughput", fmt::format("{} tokens/s, {:.3g} s a step", format_count(run.tokens_per_second),
                                        run.seconds_per_step));
  return text + row("time left", format_duration(left));
}

}  // namespace

std::string describe_run(const std::string& directory, std::int64_t now) {
  const std::vector<std::string> checkpoints = std::filesystem::is_directory(directory + "/checkpoints")
                                                   ? committed_checkpoints(directory + "/checkpoints")
                                                   : std::vector<std::string>();
  const std::optional<RunState> run = read_heartbeat(directory);
  if (!run && checkpoints.empty())
    throw UsageError("{}: no run directory: it has neither heartbeat.json nor checkpoints", directory);
  std::string text;
  if (run) {
    const double age = static_cast<double>(std::max<std::int64_t>(0, now - run->written));
    text += row("run", run->name) + row("state", describe_activity(*run, age)) + describe_progress(*run);
    text += row("heartbeat", format_duration(age) + " ago");
    if (run->job_end > now && run->activity != "finished" && run->activity != "stopped")
      text += row("job ends in", format_duration(static_cast<double>(run->job_end - now)));
  }
  return text + row("last commit", checkpoints.empty() ? "none" : last_name(checkpoints.back()));
}

}  // namespace cola
