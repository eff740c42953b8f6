#include "train/background_task.h"

#include <exception>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace cola {

void BackgroundTask::start(Work work) try {
  running_ = true;
  thread_ = std::jthread([this, work = std::move(work)](std::stop_token stop) {
    try {
      outcome_.result = work(std::move(stop));
    } catch (const std::exception& error) {
      outcome_.error = error.what();
    }
    const std::lock_guard lock(mutex_);
    running_ = false;
    ended_.notify_all();
  });
} catch (const std::system_error& error) {  // no thread, no work to wait for
  running_ = false;
  throw Error("a thread for work beside training cannot be started: {}", error.what());
}

bool BackgroundTask::ends_within(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, limit, [this] { return !running(); });
}

TaskOutcome BackgroundTask::wait() {
  if (thread_.joinable()) thread_.join();
  return std::exchange(outcome_, {});
}

}  // namespace cola
