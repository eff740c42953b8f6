#include "train/brief_attempt.h"

#include <exception>
#include <future>
#include <thread>
#include <utility>

namespace cola {

void attempt_briefly(std::function<void()> work, std::chrono::milliseconds limit) noexcept try {
  std::packaged_task<void()> task(std::move(work));
  const std::future<void> done = task.get_future();
  std::thread(std::move(task)).detach();
  done.wait_for(limit);
} catch (const std::exception&) {  // no thread is to be had
}

}  // namespace cola
