// CopyThread: the CPU's side stream. Copies to host memory run one after another beside the kernels.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "core/device.h"

namespace cola::cpu {

class CopyThread {
 public:
  /// The thread is made at the first copy.
  CopyThread() = default;
  /// All copies must have ended.
  ~CopyThread() = default;

  /// Returns at once: a thread a copy would take the core of the one that starts many of them.
  std::unique_ptr<PendingCopy> start(void* to, const void* from, std::size_t bytes);

 private:
  void run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any added_;
  std::deque<std::packaged_task<void()>> copies_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace cola::cpu
