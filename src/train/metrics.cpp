#include "train/metrics.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <span>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "io/text/json_text.h"
#include "train/metrics_lines.h"

namespace cola {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* put_off_event = "evaluation_put_off";

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

std::string abandoned_metrics_of(const std::string& path) {
  return std::filesystem::path(path).replace_extension("abandoned.jsonl").string();
}

}  // namespace

MetricsWriter::MetricsWriter(const std::string& path, std::int64_t resumed_step)
    : MetricsWriter(open_from_step(path, resumed_step)) {}

MetricsWriter::MetricsWriter(KeptLines kept)
    : file_(std::move(kept.file)),
      end_(file_.bytes()),
      evaluated_step_(kept.evaluated_step),
      put_off_(kept.put_off) {}

// A file that cannot be read is an error: it would be written anew without what it holds. Lines of steps that
// are made again move to a file beside it.
MetricsWriter::KeptLines MetricsWriter::open_from_step(const std::string& path, std::int64_t resumed_step) {
  const std::string before = std::filesystem::exists(path) ? read_file(path) : "";
  std::string kept, abandoned;
  std::int64_t evaluated_step = -1, put_off = 0;
  for_each_metrics_line(before, [&](const std::string& text, const MetricsLine& line) {
    std::string& place = line.step() > resumed_step ? abandoned : kept;
    place += text + '\n';
    if (line.step() > resumed_step) return;
    if (line.tells_of("evaluation")) evaluated_step = line.step();
    if (line.tells_of(put_off_event) && line.step() == resumed_step) ++put_off;
  });
  if (!abandoned.empty()) {
    const std::string beside = abandoned_metrics_of(path);
    const std::string earlier = std::filesystem::exists(beside) ? read_file(beside) : "";
    if (!earlier.ends_with(abandoned))
      write_file(beside, earlier + abandoned);  // a crash may have come after it
  }
  write_file(path, kept);
  return {FileDescriptor::open_to_write(path), evaluated_step, put_off};
}

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

void MetricsWriter::write_evaluation_put_off(std::int64_t step, const std::string& cause) {
  write_event(put_off_event, step, cause);
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
