// Streams, events and graphs of the emulated GPU. Work given to a stream waits there until the host asks for
// it to be done: a result that is read too early is not there yet.
#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace cola::emulation {

class Stream;

/// A stream's work up to here.
struct Point {
  std::shared_ptr<Stream> stream;
  std::uint64_t count = 0;
};

/// Something to do, or a point to wait for.
struct Operation {
  std::function<void()> work;
  Point awaited;
  /// Whether the work can be done: what other ranks decide. Asked again and again; none means yes.
  std::function<bool()> may_start = {};
};

class Stream {
 public:
  explicit Stream(int device) : device_(device) {}
  /// Number of the GPU it belongs to.
  int device() const { return device_; }

  void push(Operation operation);
  std::uint64_t pushed() const { return pushed_; }
  std::uint64_t done() const { return done_; }
  /// Does all work up to that count, and before it what this waits for. False if something of it must wait
  /// for other ranks: what comes before that is done.
  bool run_until(std::uint64_t count);
  /// Whether there is something that it can do now, or that another stream it waits for can do.
  bool can_go_on() const;
  /// Forgets what has not been done.
  void discard();

  void begin_capture();
  bool capturing() const { return capturing_; }
  bool captured_by_this_thread() const { return capturing_ && capturer_ == std::this_thread::get_id(); }
  /// The capture cannot succeed any more.
  void invalidate_capture() { capture_valid_ = false; }
  /// Ends it; `valid` says whether all went well.
  std::vector<Operation> end_capture(bool& valid);

 private:
  int device_;
  std::deque<Operation> pending_;
  std::uint64_t pushed_ = 0, done_ = 0;
  bool capturing_ = false, capture_valid_ = false;
  std::thread::id capturer_;
  std::vector<Operation> captured_;
};

}  // namespace cola::emulation

// The runtime's opaque types.
struct CUstream_st {
  std::shared_ptr<cola::emulation::Stream> stream;
};
struct CUevent_st {
  using Clock = std::chrono::steady_clock;
  cola::emulation::Point recorded;
  std::shared_ptr<Clock::time_point> reached;  // when it was; null for an event without timing
  std::thread::id maker = std::this_thread::get_id();
};
struct CUgraph_st {
  std::vector<cola::emulation::Operation> operations;
};
struct CUgraphExec_st {
  std::vector<cola::emulation::Operation> operations;
};
