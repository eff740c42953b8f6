// ThreadScheduler: runs the threads of a block as fibers on the calling thread. A fiber runs thread after
// thread to its end; only a thread that must wait keeps its fiber, and another goes on.
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "fiber_pool.h"

namespace cola::emulation {

class ThreadScheduler {
 public:
  /// `become` is told which thread runs from here on.
  ThreadScheduler(std::mt19937_64& random, std::function<void(std::uint32_t)> become);

  /// Runs `body` in threads 0 to count - 1 to the end, in an order drawn anew. Throws the first
  /// EmulationError that one throws, or one of its own when all wait; `places` is asked where.
  void run(std::uint32_t count, const std::function<void()>& body,
           const std::function<std::string()>& places);

  std::uint32_t count() const { return static_cast<std::uint32_t>(threads_.size()); }
  std::uint32_t finished() const { return finished_; }
  std::uint32_t current() const { return current_; }
  /// Returns when the current thread has been released. `name`, of what it waits in, is for messages.
  void wait(const char* name);
  /// The thread need not wait any longer. It may be released before it waits.
  void release(std::uint32_t thread);
  /// All threads, in an order drawn anew.
  void release_all();

 private:
  struct Thread {
    Fiber* fiber = nullptr;          // while it has begun and has not finished
    const char* waits_in = nullptr;  // what it waits in, if it does
  };

  void draw_order();
  Fiber& choose_next();
  bool may_start_another() const;
  void start_threads();
  void start_next();
  void become(std::uint32_t thread);
  void abandon_threads();
  std::string describe_waiting() const;

  std::mt19937_64& random_;
  std::function<void(std::uint32_t)> become_;
  FiberPool fibers_;
  const std::function<void()>* body_ = nullptr;
  std::vector<Thread> threads_;
  std::vector<std::uint32_t> order_;  // in which threads start
  std::deque<std::uint32_t> ready_;   // threads that waited and need no longer
  std::uint32_t started_ = 0, finished_ = 0, current_ = 0;
  bool ready_first_ = false;  // rather go on with a thread than start one
  std::exception_ptr failure_;
  bool abandoning_ = false;
};

}  // namespace cola::emulation
