// FiberPool: fibers that are used again and again, each with a stack of its own, on one thread.
#pragma once

#include <boost/context/fiber.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace cola::emulation {

struct Fiber {
  boost::context::fiber own;  // where it goes on; empty while it runs
  // For AddressSanitizer, which must be told of every change of stacks.
  const void* stack_bottom = nullptr;
  std::size_t stack_bytes = 0;
  void* fake_stack = nullptr;
};

class FiberPool {
 public:
  /// Each fiber calls `work` again and again; after each call it is idle and what `choose_next` says goes on.
  FiberPool(std::function<void()> work, std::function<Fiber&()> choose_next)
      : work_(std::move(work)), choose_next_(std::move(choose_next)) {}
  /// All fibers must be idle.
  ~FiberPool();
  FiberPool(const FiberPool&) = delete;
  FiberPool& operator=(const FiberPool&) = delete;

  /// What called the pool in the first place.
  Fiber& main() { return main_; }
  Fiber& running() { return *running_; }
  /// An idle one, or a new one.
  Fiber& take();
  /// Lets `target` go on where it is; returns when another fiber does the same with this one.
  void switch_to(Fiber& target);

 private:
  Fiber& make();
  boost::context::fiber live(Fiber& self, boost::context::fiber&& from);
  void arrive(boost::context::fiber&& from, void* fake_stack);

  std::function<void()> work_;
  std::function<Fiber&()> choose_next_;
  Fiber main_;
  Fiber *running_ = &main_, *previous_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  bool stopping_ = false;
};

}  // namespace cola::emulation
