#include "core/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace cola {

namespace {

std::shared_ptr<spdlog::logger> make_logger(const std::string& name, spdlog::sink_ptr sink,
                                            const std::string& pattern) {
  auto logger = spdlog::get(name);
  if (!logger) {
    logger = std::make_shared<spdlog::logger>(name, std::move(sink));
    spdlog::register_logger(logger);
    logger->set_pattern(pattern);
    logger->flush_on(spdlog::level::trace);
  }
  return logger;
}

std::shared_ptr<spdlog::logger> output() {
  return make_logger("cola", std::make_shared<spdlog::sinks::stdout_sink_mt>(), "%v");
}
std::shared_ptr<spdlog::logger> complaints() {
  return make_logger("cola_errors", std::make_shared<spdlog::sinks::stderr_sink_mt>(), "cola: %l: %v");
}

}  // namespace

void set_log_identity(int rank, int ranks, const std::string& host) {
  output()->set_level(rank == 0 ? spdlog::level::info : spdlog::level::off);
  if (ranks > 1) complaints()->set_pattern(fmt::format("cola: rank {} on {}: %l: %v", rank, host));
}

void log_information(std::string_view message) {
  output()->info(message);
}
void log_warning(std::string_view message) {
  complaints()->warn(message);
}
void log_error(std::string_view message) {
  complaints()->error(message);
}

}  // namespace cola
