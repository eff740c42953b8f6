#include "train/metrics.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/error.h"

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

void rewrite(const std::string& path, const std::vector<std::string>& lines) {
  const std::string temporary = path + ".tmp";
  {
    std::ofstream file(temporary, std::ios::trunc);
    for (const std::string& line : lines) file << line << '\n';
    if (!file.flush()) throw FileError("{}: cannot be written: {}", temporary, std::strerror(errno));
  }
  std::filesystem::rename(temporary, path);
}

// JSON has no infinity: such a value is written as null.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

}  // namespace

MetricsWriter::MetricsWriter(const std::string& path, std::int64_t resumed_step) : path_(path) {
  if (std::filesystem::exists(path)) {
    const std::vector<std::string> lines = lines_up_to(path, resumed_step);
    for (const std::string& line : lines)
      if (const Json entry = Json::parse(line); entry.value("event", "") == "evaluation")
        evaluated_step_ = entry.value("step", std::int64_t{-1});
    rewrite(path, lines);
  }
  file_.open(path, std::ios::app);
  if (!file_) throw FileError("{}: cannot be written: {}", path, std::strerror(errno));
}

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

void MetricsWriter::write_line(const std::string& line) {
  file_ << line << '\n';
  if (!file_.flush()) throw FileError("{}: cannot be written: {}", path_, std::strerror(errno));
}

}  // namespace cola
