#include "core/cpu/copy_thread.h"

#include <chrono>
#include <cstring>
#include <utility>

namespace cola::cpu {

namespace {

class QueuedCopy final : public PendingCopy {
 public:
  explicit QueuedCopy(std::future<void> copied) : copied_(std::move(copied)) {}
  ~QueuedCopy() override { copied_.wait(); }
  bool done() override { return copied_.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }
  void wait() override { copied_.wait(); }

 private:
  std::future<void> copied_;
};

}  // namespace

std::unique_ptr<PendingCopy> CopyThread::start(void* to, const void* from, std::size_t bytes) {
  // Before anything waits for the copy: where no thread can be made, that is an error.
  if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  std::packaged_task<void()> copy([=] { std::memcpy(to, from, bytes); });
  auto pending = std::make_unique<QueuedCopy>(copy.get_future());
  {
    const std::lock_guard lock(mutex_);
    copies_.push_back(std::move(copy));
  }
  added_.notify_one();
  return pending;
}

void CopyThread::run(const std::stop_token& stop) {
  for (;;) {
    std::unique_lock lock(mutex_);
    if (!added_.wait(lock, stop, [this] { return !copies_.empty(); })) return;
    std::packaged_task<void()> copy = std::move(copies_.front());
    copies_.pop_front();
    lock.unlock();
    copy();
  }
}

}  // namespace cola::cpu
