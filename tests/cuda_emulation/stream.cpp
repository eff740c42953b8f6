#include "stream.h"

#include <utility>

namespace cola::emulation {

void Stream::push(Operation operation) {
  if (capturing_) {
    captured_.push_back(std::move(operation));
  } else {
    pending_.push_back(std::move(operation));
    ++pushed_;
  }
}

bool Stream::run_until(std::uint64_t count) {
  while (done_ < count) {
    const Operation& next = pending_.front();
    if (next.awaited.stream && !next.awaited.stream->run_until(next.awaited.count)) return false;
    if (next.may_start && !next.may_start()) return false;
    const Operation operation = std::move(pending_.front());
    pending_.pop_front();
    ++done_;
    if (operation.work) operation.work();
  }
  return true;
}

bool Stream::can_go_on() const {
  if (pending_.empty()) return false;
  const auto& [work, awaited, may_start] = pending_.front();
  if (awaited.stream && awaited.stream->done() < awaited.count) return awaited.stream->can_go_on();
  return !may_start || may_start();
}

void Stream::discard() {
  pending_.clear();
  done_ = pushed_;
}

void Stream::begin_capture() {
  capturing_ = capture_valid_ = true;
  capturer_ = std::this_thread::get_id();
}

std::vector<Operation> Stream::end_capture(bool& valid) {
  valid = capture_valid_;
  capturing_ = false;
  return std::exchange(captured_, {});
}

}  // namespace cola::emulation
