#include "fiber_pool.h"

#include <boost/context/preallocated.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <utility>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace cola::emulation {

namespace {

constexpr std::size_t stack_bytes = 128 << 10;

// Stacks all begin at a page's border, and their tops would fight for the same few lines of the cache.
constexpr std::size_t shift_bytes = 576, shifts = 64;

void announce_switch([[maybe_unused]] void** fake_stack, [[maybe_unused]] const Fiber& target) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(fake_stack, target.stack_bottom, target.stack_bytes);
#endif
}

// Fills in where the stack that was left lies.
void announce_arrival([[maybe_unused]] void* fake_stack, [[maybe_unused]] Fiber& left) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake_stack, &left.stack_bottom, &left.stack_bytes);
#endif
}

}  // namespace

FiberPool::~FiberPool() {
  stopping_ = true;
  for (Fiber* fiber : idle_) switch_to(*fiber);
}

Fiber& FiberPool::take() {
  if (idle_.empty()) return make();
  Fiber& fiber = *idle_.back();
  idle_.pop_back();
  return fiber;
}

Fiber& FiberPool::make() {
  boost::context::protected_fixedsize_stack allocator(stack_bytes);
  const boost::context::stack_context stack = allocator.allocate();
  const std::size_t shift = fibers_.size() % shifts * shift_bytes;
  Fiber& fiber = *fibers_.emplace_back(std::make_unique<Fiber>());
  fiber.stack_bottom = static_cast<char*>(stack.sp) - stack.size;
  fiber.stack_bytes = stack.size;
  const auto body = [this, &fiber](boost::context::fiber&& from) { return live(fiber, std::move(from)); };
  const boost::context::preallocated memory(static_cast<char*>(stack.sp) - shift, stack.size - shift, stack);
  fiber.own = boost::context::fiber(std::allocator_arg, memory, allocator, body);
  return fiber;
}

boost::context::fiber FiberPool::live(Fiber& self, boost::context::fiber&& from) {
  arrive(std::move(from), nullptr);
  while (!stopping_) {
    work_();
    idle_.push_back(&self);
    switch_to(choose_next_());
  }
  previous_ = &self;
  running_ = &main_;
  announce_switch(nullptr, main_);
  return std::move(main_.own);
}

void FiberPool::switch_to(Fiber& target) {
  Fiber& self = *running_;
  if (&target == &self) return;
  previous_ = &self;
  running_ = &target;
  announce_switch(&self.fake_stack, target);
  auto from = std::move(target.own).resume();
  arrive(std::move(from), self.fake_stack);
}

void FiberPool::arrive(boost::context::fiber&& from, void* fake_stack) {
  announce_arrival(fake_stack, *previous_);
  previous_->own = std::move(from);
}

}  // namespace cola::emulation
