#include "train/background_task.h"

#include <exception>
#include <utility>

namespace cola {

void BackgroundTask::start(Work work) {
  running_ = true;
  thread_ = std::jthread([this, work = std::move(work)](std::stop_token stop) {
    try {
      outcome_.result = work(std::move(stop));
    } catch (const std::exception& error) {
      outcome_.error = error.what();
    }
    running_ = false;
  });
}

TaskOutcome BackgroundTask::wait() {
  if (thread_.joinable()) thread_.join();
  return std::exchange(outcome_, {});
}

}  // namespace cola
