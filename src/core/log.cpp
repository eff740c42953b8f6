#include "core/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <utility>

namespace cola {

namespace {

std::shared_ptr<spdlog::logger> make_logger(spdlog::sink_ptr sink, const std::string& pattern) {
  auto logger = std::make_shared<spdlog::logger>("cola", std::move(sink));
  logger->set_pattern(pattern);
  logger->flush_on(spdlog::level::trace);
  return logger;
}

// Made once, whichever thread is the first to speak.
spdlog::logger& output() {
  static const auto logger = make_logger(std::make_shared<spdlog::sinks::stdout_sink_mt>(), "%v");
  return *logger;
}
std::string& program() {
  static std::string name = "cola";
  return name;
}
spdlog::logger& complaints() {
  static const auto logger =
      make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>(), program() + ": %l: %v");
  return *logger;
}

}  // namespace

void set_log_program(const std::string& name) {
  program() = name;
  complaints().set_pattern(name + ": %l: %v");
}

void set_log_identity(int rank, int ranks, const std::string& host) {
  output().set_level(rank == 0 ? spdlog::level::info : spdlog::level::off);
  if (ranks > 1) complaints().set_pattern(fmt::format("{}: rank {} on {}: %l: %v", program(), rank, host));
}

void log_information(std::string_view message) {
  output().info(message);
}
void log_warning(std::string_view message) {
  complaints().warn(message);
}
void log_error(std::string_view message) {
  complaints().error(message);
}

}  // namespace cola
