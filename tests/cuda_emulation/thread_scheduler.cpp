#include "thread_scheduler.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "block.h"
#include "emulation_error.h"

namespace cola::emulation {

namespace {

// What unwinds a thread that will never be released.
struct Abandoned {};

}  // namespace

ThreadScheduler::ThreadScheduler(std::mt19937_64& random, std::function<void(std::uint32_t)> become)
    : random_(random),
      become_(std::move(become)),
      fibers_([this] { start_threads(); }, [this]() -> Fiber& { return choose_next(); }) {}

void ThreadScheduler::run(std::uint32_t count, const std::function<void()>& body,
                          const std::function<std::string()>& places) {
  body_ = &body;
  threads_.assign(count, Thread());
  started_ = finished_ = 0;
  ready_first_ = random_() % 2 == 0;
  failure_ = nullptr;
  draw_order();
  while (finished_ < count && !failure_) {
    Fiber& next = choose_next();
    if (&next != &fibers_.main())
      fibers_.switch_to(next);
    else
      failure_ = std::make_exception_ptr(
          EmulationError("threads wait for others that never come: {}{}", describe_waiting(), places()));
  }
  if (!failure_) return;
  abandon_threads();
  std::rethrow_exception(failure_);
}

// Warps in any order, and the lanes of a warp too.
void ThreadScheduler::draw_order() {
  std::vector<std::uint32_t> warps((count() + warp_lanes - 1) / warp_lanes);
  std::iota(warps.begin(), warps.end(), 0u);
  std::shuffle(warps.begin(), warps.end(), random_);
  const auto flipped = static_cast<std::uint32_t>(random_() % warp_lanes);
  order_.clear();
  for (const std::uint32_t warp : warps)
    for (std::uint32_t lane = 0; lane < warp_lanes; ++lane)
      if (const std::uint32_t thread = warp * warp_lanes + (lane ^ flipped); thread < count())
        order_.push_back(thread);
}

// Goes on with a thread that need not wait any longer, or begins one; on main if there is neither.
Fiber& ThreadScheduler::choose_next() {
  if (failure_ || abandoning_) return fibers_.main();
  if (!ready_.empty() && (ready_first_ || started_ == count())) {
    become(ready_.front());
    ready_.pop_front();
    return *threads_[current_].fiber;
  }
  return started_ < count() ? fibers_.take() : fibers_.main();
}

bool ThreadScheduler::may_start_another() const {
  return !failure_ && !abandoning_ && started_ < count() && !(ready_first_ && !ready_.empty());
}

// What a fiber does: starts threads and runs each to its end. A thread that waits leaves in between.
void ThreadScheduler::start_threads() {
  while (may_start_another()) start_next();
}

void ThreadScheduler::start_next() {
  const std::uint32_t thread = order_[started_++];
  become(thread);
  threads_[thread].fiber = &fibers_.running();
  try {
    (*body_)();
    ++finished_;
  } catch (const EmulationError&) {
    failure_ = std::current_exception();
  } catch (const Abandoned&) {
  }
  threads_[thread].fiber = nullptr;
}

void ThreadScheduler::become(std::uint32_t thread) {
  current_ = thread;
  become_(thread);
}

void ThreadScheduler::wait(const char* name) {
  threads_[current_].waits_in = name;
  fibers_.switch_to(choose_next());
  if (abandoning_) throw Abandoned();
}

void ThreadScheduler::release(std::uint32_t thread) {
  threads_[thread].waits_in = nullptr;
  ready_.push_back(thread);
}

void ThreadScheduler::release_all() {
  draw_order();
  for (const std::uint32_t thread : order_) release(thread);
}

// Every thread that has begun leaves its fiber.
void ThreadScheduler::abandon_threads() {
  abandoning_ = true;
  for (Thread& thread : threads_)
    if (thread.fiber) fibers_.switch_to(*thread.fiber);
  abandoning_ = false;
  ready_.clear();
}

std::string ThreadScheduler::describe_waiting() const {
  std::map<std::string, int> waiting;
  for (const Thread& thread : threads_)
    if (thread.waits_in) ++waiting[thread.waits_in];
  std::string text = fmt::format("{} of {} have finished", finished_, count());
  for (const auto& [name, number] : waiting) text += fmt::format(", {} wait in {}", number, name);
  return text;
}

}  // namespace cola::emulation
