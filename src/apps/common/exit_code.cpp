#include "apps/common/exit_code.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "core/log.h"
#include "train/agreement.h"

namespace cola {

int exit_code_of(const std::exception& error) {
  if (const auto* reported = dynamic_cast<const ReportedError*>(&error)) return reported->exit_code;
  if (const auto* told = dynamic_cast<const RankError*>(&error); told && told->alone) return exit_failed;
  return dynamic_cast<const UsageError*>(&error) ? exit_usage : exit_failed;
}

int exit_code_before_step_0(const std::exception& error) {
  return dynamic_cast<const FileError*>(&error) ? exit_usage : exit_code_of(error);
}

int unless_output_failed(int code) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  log_error(fmt::format("standard output cannot be written: {}", std::strerror(errno != 0 ? errno : EIO)));
  return exit_failed;
}

}  // namespace cola
