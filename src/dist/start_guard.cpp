#include "dist/start_guard.h"

#include <mpi.h>

#include <cstdlib>

#include "core/error.h"
#include "core/host.h"
#include "core/log.h"
#include "core/text.h"
#include "dist/mpi_communicator.h"

namespace cola {

namespace {

constexpr std::chrono::minutes usual_limit(10);
constexpr const char* limit_variable = "COLA_START_TIMEOUT";

// Before MPI is up it has nothing to end: the launcher sees to the others once one process has failed.
void end_start() {
  int started = 0, ended = 0;
  MPI_Initialized(&started);
  MPI_Finalized(&ended);
  if (started != 0 && ended == 0) abort_mpi_job(exit_failed);
  std::_Exit(exit_failed);
}

}  // namespace

StartGuard::StartGuard(const std::optional<LaunchEnvironment>& launched) {
  if (!launched) return;
  limit_ = std::chrono::seconds(
      read_number(environment_variable, limit_variable).value_or(std::chrono::seconds(usual_limit).count()));
  watchdog_.emplace(end_start, std::chrono::seconds(10), [this, meant = launched->placement](auto...) {
    set_log_identity(meant.rank, meant.size, host_name());  // before MPI is up nothing else has
    return fmt::format(
        "no start within {}: waiting in {}; a rank, its GPU, the network or a file system does not answer",
        format_duration(static_cast<double>(limit_.count())), stage_.load());
  });
  start_.emplace(*watchdog_, "the start");
  watchdog_->start(limit_);
}

StartGuard::~StartGuard() {
  dismiss();
}

void StartGuard::allow(std::chrono::seconds timeout) {
  if (!watchdog_ || (timeout.count() != 0 && timeout <= limit_) || limit_.count() == 0) return;
  watchdog_->stop();
  limit_ = timeout;
  watchdog_->start(limit_);
}

void StartGuard::dismiss() {
  start_.reset();
  watchdog_.reset();
}

}  // namespace cola
