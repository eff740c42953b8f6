// BackgroundTask: one piece of work at a time on a thread of its own, beside training.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace cola {

/// What a piece of work came to: its result, or the message of the exception that ended it.
struct TaskOutcome {
  std::string result, error;
};

class BackgroundTask {
 public:
  using Work = std::function<std::string(std::stop_token)>;

  BackgroundTask() = default;
  /// Asks the work to stop, and waits until it does.
  ~BackgroundTask() = default;
  BackgroundTask(const BackgroundTask&) = delete;
  BackgroundTask& operator=(const BackgroundTask&) = delete;

  /// The one before must have been waited for.
  void start(Work work);
  /// Whether work is going on; never blocks.
  bool running() const { return running_; }
  /// Waits for its end, but not longer than that; whether no work is going on then.
  bool ends_within(std::chrono::milliseconds limit);
  /// Waits for its end. Without a start, an empty outcome.
  TaskOutcome wait();

 private:
  std::atomic<bool> running_ = false;
  std::mutex mutex_;  // of the change of running_ that somebody waits for
  std::condition_variable ended_;
  TaskOutcome outcome_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace cola
