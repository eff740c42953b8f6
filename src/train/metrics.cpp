#include "train/metrics.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>
#include <span>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "io/json_text.h"

namespace cola {

namespace {

using Json = nlohmann::ordered_json;

// Nothing for what is not a line of ours: cut off by a crash, or written by a hand.
std::optional<Json> parse_line(const std::string& line) {
  Json entry = Json::parse(line, nullptr, false);
  return entry.is_object() ? std::optional(std::move(entry)) : std::nullopt;
}

// A line without a number there belongs to no step, and stays.
std::int64_t step_of(const Json& entry) {
  const auto step = entry.find("step");
  return step != entry.end() && step->is_number_integer() ? step->get<std::int64_t>() : 0;
}

bool is_evaluation(const Json& entry) {
  const auto event = entry.find("event");
  return event != entry.end() && *event == "evaluation";
}

// Lines of `text` that belong to steps up to `last_step`; a half-written line at the end is dropped too.
std::string lines_up_to(const std::string& text, std::int64_t last_step) {
  std::string kept;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (const auto entry = parse_line(line); entry && step_of(*entry) <= last_step) kept += line + '\n';
  return kept;
}

// A file that cannot be read is an error: it would be written anew without what it holds.
FileDescriptor open_from_step(const std::string& path, std::int64_t resumed_step) {
  const std::string before = std::filesystem::exists(path) ? read_file(path) : "";
  write_file(path, lines_up_to(before, resumed_step));
  return FileDescriptor::open_to_write(path);
}

std::int64_t find_evaluated_step(const std::string& text) {
  std::int64_t step = -1;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (const auto entry = parse_line(line); entry && is_evaluation(*entry)) step = step_of(*entry);
  return step;
}

// Seconds since 1970, to the millisecond.
double time_now() {
  using Milliseconds = std::chrono::milliseconds;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<double>(std::chrono::duration_cast<Milliseconds>(now).count()) / 1000;
}

std::string timed_line(Json entry) {
  entry["time"] = time_now();
  return json_text(entry);
}

// JSON has no infinity: such a value is written as null.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

}  // namespace

MetricsWriter::MetricsWriter(const std::string& path, std::int64_t resumed_step)
    : path_(path),
      file_(open_from_step(path, resumed_step)),
      end_(file_.bytes()),
      evaluated_step_(find_evaluated_step(read_file(path))) {}

void MetricsWriter::write(const StepMetrics& metrics) {
  write_line(timed_line({{"event", "step"},
                         {"step", metrics.step},
                         {"loss", number(metrics.loss)},
                         {"lr", metrics.learning_rate},
                         {"grad_norm", number(metrics.gradient_norm)},
                         {"tokens", metrics.tokens},
                         {"tokens_per_second", metrics.tokens_per_second},
                         {"step_seconds", metrics.step_seconds},
                         {"mfu", metrics.model_flops_utilization},
                         {"checkpoint_blocked_seconds", metrics.checkpoint_blocked_seconds},
                         {"peak_bytes", metrics.peak_bytes},
                         {"step_target_tokens", metrics.step_target_tokens},
                         {"slowest_rank", metrics.ranks.slowest_rank},
                         {"slowest_seconds", metrics.ranks.slowest_seconds},
                         {"median_seconds", metrics.ranks.median_seconds}}));
}

void MetricsWriter::write_evaluation(std::int64_t step, const EvaluationResult& result) {
  evaluated_step_ = step;
  write_line(timed_line({{"event", "evaluation"},
                         {"step", step},
                         {"loss", number(result.loss)},
                         {"perplexity", number(result.perplexity())},
                         {"tokens", result.tokens}}));
}

void MetricsWriter::write_start(std::int64_t step, std::int64_t ranks, std::int64_t hosts,
                                const std::string& checkpoint, double operations_per_token) {
  write_line(timed_line({{"event", "start"},
                         {"step", step},
                         {"ranks", ranks},
                         {"hosts", hosts},
                         {"checkpoint", checkpoint.empty() ? Json(nullptr) : Json(checkpoint)},
                         {"operations_per_token", operations_per_token}}));
}

void MetricsWriter::write_checkpoint(std::int64_t step, double seconds, double full_speed_seconds) {
  write_line(timed_line({{"event", "checkpoint"},
                         {"step", step},
                         {"message", fmt::format("committed in {:.2f} s", seconds)},
                         {"seconds", seconds},
                         {"full_speed_seconds", full_speed_seconds}}));
}

void MetricsWriter::write_event(const std::string& event, std::int64_t step, const std::string& message) {
  write_line(timed_line({{"event", event}, {"step", step}, {"message", message}}));
}

// At a known place: what a full disk took of a line is written over by the next attempt.
void MetricsWriter::write_line(const std::string& line) {
  const bool healthy = unwritten_.empty();
  unwritten_ += line + '\n';
  try {
    file_.write_at(end_, std::as_bytes(std::span(unwritten_)));
  } catch (const FileError& error) {
    if (healthy) warning("{}; its lines are kept until they can be written", error.what());
    return;
  }
  end_ += static_cast<std::int64_t>(unwritten_.size());
  unwritten_.clear();
}

}  // namespace cola
