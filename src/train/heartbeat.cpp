#include "train/heartbeat.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/error.h"
#include "core/host.h"
#include "dist/placement/environment_variables.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "io/files/durable_file.h"
#include "io/files/run_directory.h"
#include "io/text/json_text.h"

namespace cola {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::seconds interval{5};
// Not in files of earlier versions.
constexpr std::array<std::string_view, 5> later_keys{"reason", "slow_rank", "slow_host", "slow_seconds",
                                                     "median_seconds"};

std::int64_t seconds_since_1970(SystemTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}
std::int64_t now_since_1970() {
  return seconds_since_1970(std::chrono::system_clock::now());
}

/// Calls visit(key, member) for every field; `state` is a RunState, const or not.
template <typename State, typename Visitor>
void visit_fields(State& state, const Visitor& visit) {
  visit("name", state.name);
  visit("activity", state.activity);
  visit("reason", state.reason);
  visit("host", state.host);
  visit("job", state.job);
  visit("ranks", state.ranks);
  visit("step", state.step);
  visit("total_steps", state.total_steps);
  visit("loss", state.loss);
  visit("tokens_per_second", state.tokens_per_second);
  visit("seconds_per_step", state.seconds_per_step);
  visit("started", state.started);
  visit("written", state.written);
  visit("job_end", state.job_end);
  visit("slow_rank", state.slow_rank);
  visit("slow_host", state.slow_host);
  visit("slow_seconds", state.slow_seconds);
  visit("median_seconds", state.median_seconds);
}

// No flush to the disk, which may take long: after a power cut an old heartbeat tells as much as a new one.
void replace(const std::string& path, const RunState& state, const std::string& temporary) {
  Json json;
  visit_fields(state, [&](const char* key, const auto& value) { json[key] = value; });
  std::error_code ignored;
  if (std::ofstream file(temporary); file << json_text(json, 2) << '\n' && file.flush())
    std::filesystem::rename(temporary, path, ignored);
}

/// The number that Slurm or PBS gave this job; empty outside of one.
std::string scheduler_job() {
  for (const char* variable : {"SLURM_JOB_ID", "PBS_JOBID"})
    if (const auto job = environment_variable(variable)) return *job;
  return {};
}

}  // namespace

RunState state_at_start(const RunConfiguration& configuration, int ranks, std::optional<SystemTime> job_end) {
  RunState state;
  state.name = configuration.run.name;
  state.host = host_name();
  state.job = scheduler_job();
  state.ranks = ranks;
  state.total_steps = configuration.schedule.total_steps;
  if (job_end) state.job_end = seconds_since_1970(*job_end);
  return state;
}

Heartbeat::Heartbeat(const std::string& directory, const RunState& first, bool beats)
    : path_(heartbeat_file(directory)), state_(first), beats_(beats) {
  state_.started = now_since_1970();
}

// A run that resumes where it ended makes no step that would tell loss and rates.
void Heartbeat::note_start(std::int64_t step) {
  state_.step = step;
  std::optional<RunState> before;
  try {
    before = read_heartbeat(parent_folder(path_));
  } catch (const Error&) {  // damaged: it will be replaced
  }
  if (!before || before->step != step) return;
  state_.loss = before->loss;
  state_.tokens_per_second = before->tokens_per_second;
  state_.seconds_per_step = before->seconds_per_step;
}

void Heartbeat::note_step(const StepMetrics& metrics) {
  if (seconds_per_step_.steps() == 0) last_written_ = {};  // that it trains is worth saying at once
  seconds_per_step_.add(metrics.step_seconds);
  tokens_per_step_.add(metrics.tokens_per_second * metrics.step_seconds);
  state_.seconds_per_step = seconds_per_step_.value();
  if (state_.seconds_per_step > 0)
    state_.tokens_per_second = tokens_per_step_.value() / state_.seconds_per_step;
  state_.step = metrics.step;
  state_.loss = metrics.loss;
  note_slow_rank(metrics.ranks);
}

void Heartbeat::note_slow_rank(const RankTimes& step) {
  slow_ranks_.note(step);
  const std::optional<RankTimes> slow = slow_ranks_.found();
  const auto rank = static_cast<std::size_t>(slow ? slow->slowest_rank : 0);
  state_.slow_rank = slow ? slow->slowest_rank : -1;
  state_.slow_host = slow && rank < hosts_.size() ? hosts_[rank] : std::string();
  state_.slow_seconds = slow ? slow->slowest_seconds : 0;
  state_.median_seconds = slow ? slow->median_seconds : 0;
}

// Another rank may have said meanwhile that the job has failed, which ends this one soon.
void Heartbeat::beat(const std::string& activity) {
  if (!beats_ || Clock::now() - last_written_ < interval) return;
  const SystemTime started{std::chrono::seconds(state_.started)};
  if (has_written_ && failure_is_known(parent_folder(path_), started)) return;
  write(activity);
}

void Heartbeat::last_word(const std::string& activity) {
  if (beats_) write(activity);
}

void Heartbeat::fail(const std::string& reason) {
  state_.reason = reason;
  last_word("failed");
}

void Heartbeat::write(const std::string& activity) noexcept try {
  state_.activity = activity;
  state_.written = now_since_1970();
  last_written_ = Clock::now();
  has_written_ = true;
  replace(path_, state_, path_ + std::string(temporary_suffix));
} catch (const std::exception&) {  // the run goes on, or ends with an error of its own
}

namespace {

template <typename Value>
void read_member(const Json& json, const char* key, Value& value) {
  if (!json.contains(key) && std::find(later_keys.begin(), later_keys.end(), key) != later_keys.end()) return;
  const Json& member = json.at(key);
  if (std::is_integral_v<Value> && !member.is_number_integer()) throw Error("{} is no whole number", key);
  member.get_to(value);
}

void require_sense(const RunState& state) {
  const auto is_count = [](auto... values) { return (... && (values >= 0)); };
  const auto is_rate = [](auto... values) { return (... && (values >= 0 && values < 1e15)); };
  if (!is_count(state.ranks, state.step, state.total_steps, state.started, state.written, state.job_end) ||
      !is_rate(state.tokens_per_second, state.seconds_per_step, state.slow_seconds, state.median_seconds))
    throw Error("a number in it is out of range");
}

// A job before may have failed, too.
bool says_failed_since(const RunState& state, SystemTime job_start) {
  return state.activity == "failed" && state.written >= seconds_since_1970(job_start);
}

}  // namespace

bool failure_is_known(const std::string& directory, SystemTime job_start) noexcept try {
  const std::optional<RunState> state = read_heartbeat(directory);
  return state && says_failed_since(*state, job_start);
} catch (const std::exception&) {  // damaged, or out of reach
  return false;
}

// Each call has a temporary name of its own: several ranks may fail at once, and several threads of one.
void mark_failed(const std::string& directory, const std::string& reason, SystemTime job_start) noexcept try {
  std::optional<RunState> state = read_heartbeat(directory);
  if (!state || says_failed_since(*state, job_start)) return;
  state->activity = "failed";
  state->reason = reason;
  state->written = now_since_1970();
  const std::string path = heartbeat_file(directory);
  static std::atomic<int> calls = 0;
  replace(path, *state,
          fmt::format("{}.{}-{}-{}{}", path, host_name(), ::getpid(), ++calls, temporary_suffix));
} catch (const std::exception&) {  // damaged, or out of reach
}

void remove_unfinished_heartbeats(const std::string& directory) noexcept try {
  for (const std::string& name : names_in(directory)) {
    std::error_code ignored;
    if (name.starts_with(std::string(heartbeat_name) + ".") && name.ends_with(temporary_suffix))
      std::filesystem::remove(directory + "/" + name, ignored);
  }
} catch (const std::exception&) {  // they stay
}

std::optional<RunState> read_heartbeat(const std::string& directory) {
  const std::string path = heartbeat_file(directory);
  if (!std::filesystem::exists(path)) return std::nullopt;
  RunState state;
  const std::string text = read_file(path);
  try {
    const Json json = Json::parse(text);
    visit_fields(state, [&](const char* key, auto& value) { read_member(json, key, value); });
    require_sense(state);
  } catch (const Json::exception&) {
    throw FileError("{}: is damaged, or no heartbeat of a run", path);
  } catch (const Error& error) {
    throw FileError("{}: is damaged, or no heartbeat of a run: {}", path, error.what());
  }
  return state;
}

}  // namespace cola
