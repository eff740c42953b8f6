#include "train/metrics.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/log.h"

namespace cola {

namespace {

using Json = nlohmann::ordered_json;

// Lines of `path` that belong to steps up to `last_step`; a half-written line at the end is dropped too.
std::vector<std::string> lines_up_to(const std::string& path, std::int64_t last_step) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const Json entry = Json::parse(line, nullptr, false);
    if (entry.is_object() && entry.value("step", std::int64_t{0}) <= last_step) lines.push_back(line);
  }
  return lines;
}

FileDescriptor open_from_step(const std::string& path, std::int64_t resumed_step) {
  std::string text;
  if (std::filesystem::exists(path))
    for (const std::string& line : lines_up_to(path, resumed_step)) text += line + '\n';
  write_file(path, text);
  return FileDescriptor::open_to_write(path);
}

std::int64_t find_evaluated_step(const std::string& path) {
  std::int64_t step = -1;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (const Json entry = Json::parse(line); entry.value("event", "") == "evaluation")
      step = entry.value("step", std::int64_t{-1});
  return step;
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
      evaluated_step_(find_evaluated_step(path)) {}

void MetricsWriter::write(const StepMetrics& metrics) {
  write_line(Json{{"event", "step"},
                  {"step", metrics.step},
                  {"loss", number(metrics.loss)},
                  {"lr", metrics.learning_rate},
                  {"grad_norm", number(metrics.gradient_norm)},
                  {"tokens", metrics.tokens},
                  {"tokens_per_second", metrics.tokens_per_second},
                  {"step_seconds", metrics.step_seconds},
                  {"mfu", metrics.model_flops_utilization},
                  {"checkpoint_blocked_seconds", metrics.checkpoint_blocked_seconds},
                  {"peak_bytes", metrics.peak_bytes}}
                 .dump());
}

void MetricsWriter::write_evaluation(std::int64_t step, const EvaluationResult& result) {
  evaluated_step_ = step;
  write_line(Json{{"event", "evaluation"},
                  {"step", step},
                  {"loss", number(result.loss)},
                  {"perplexity", number(result.perplexity())},
                  {"tokens", result.tokens}}
                 .dump());
}

void MetricsWriter::write_event(const std::string& event, std::int64_t step, const std::string& message) {
  write_line(Json{{"event", event}, {"step", step}, {"message", message}}.dump());
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
