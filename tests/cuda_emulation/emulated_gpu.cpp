#include "emulated_gpu.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>

#include "block_runner.h"
#include "emulation_error.h"
#include "fault_handler.h"

namespace cola::emulation {

namespace {

std::uint64_t choose_seed() {
  const char* text = std::getenv("COLA_EMULATION_SEED");
  return text ? std::strtoull(text, nullptr, 10) : std::random_device{}();
}

int choose_device_count() {
  const char* text = std::getenv("COLA_EMULATED_GPUS");
  return text ? std::atoi(text) : 1;
}

}  // namespace

int& EmulatedGpu::current_device() {
  static thread_local int device = 0;
  return device;
}

EmulatedGpu& EmulatedGpu::entered() {
  const std::lock_guard lock(mutex_);
  if (!on_gpu_thread() && contexts_.insert(current_device()).second && std::getenv("COLA_EMULATION_CONTEXTS"))
    std::fprintf(stderr, "emulated GPU: a context on GPU %d\n", current_device());
  return *this;
}

std::set<int> EmulatedGpu::contexts() {
  const std::lock_guard lock(mutex_);
  return contexts_;
}

EmulatedGpu& EmulatedGpu::instance() {
  static EmulatedGpu gpu;
  return gpu;
}

EmulatedGpu::EmulatedGpu()
    : seed_(choose_seed()), device_count_(choose_device_count()), default_stream_(make_stream(false)) {
  use_fault_handler_on_this_thread();
  thread_ = std::thread([this] { serve(); });
}

EmulatedGpu::~EmulatedGpu() {
  {
    const std::lock_guard lock(hand_over_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void EmulatedGpu::serve() {
  use_fault_handler_on_this_thread();
  runner_ = std::make_unique<BlockRunner>(seed_);
  std::unique_lock lock(hand_over_);
  for (;;) {
    changed_.wait(lock, [this] { return task_ || stopping_; });
    if (stopping_) break;
    try {
      (*task_)();
    } catch (const EmulationError& error) {
      problem_ = error.what();
    }
    task_ = nullptr;
    changed_.notify_all();
  }
  runner_.reset();
}

// The host waits while the GPU works.
cudaError_t EmulatedGpu::run(const std::function<void()>& work) {
  std::unique_lock lock(hand_over_);
  problem_.clear();
  task_ = &work;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !task_; });
  memory_.close();
  if (problem_.empty()) return cudaSuccess;
  for (const auto& stream : streams_) stream->discard();
  const std::string explanation = problem_ + " (COLA_EMULATION_SEED=" + std::to_string(seed_) + ")";
  std::fprintf(stderr, "emulated GPU: %s\n", explanation.c_str());
  return fail(cudaErrorLaunchFailure, explanation);
}

std::shared_ptr<Stream> EmulatedGpu::make_stream(bool blocking) {
  const auto stream = std::make_shared<Stream>(current_device());
  streams_.insert(stream);
  if (blocking) blocking_streams_.insert(stream);
  return stream;
}

void EmulatedGpu::remove(const std::shared_ptr<Stream>& stream) {
  finish({{stream, stream->pushed()}});
  streams_.erase(stream);
  blocking_streams_.erase(stream);
}

std::shared_ptr<Stream> EmulatedGpu::stream(cudaStream_t handle) {
  return handle ? handle->stream : default_stream_;
}

void EmulatedGpu::push(cudaStream_t handle, std::function<void()> work) {
  const auto target = stream(handle);
  if (!handle)
    for (const auto& other : blocking_streams_) target->push({nullptr, {other, other->pushed()}});
  else if (blocking_streams_.contains(target))
    target->push({nullptr, {default_stream_, default_stream_->pushed()}});
  target->push({std::move(work), {}});
}

bool EmulatedGpu::invalidate_captures() {
  bool any = false;
  for (const auto& stream : streams_)
    if (stream->captured_by_this_thread()) {
      stream->invalidate_capture();
      any = true;
    }
  return any;
}

// While other ranks are waited for, other threads of this process get their turn.
cudaError_t EmulatedGpu::finish(const std::vector<Point>& points) {
  const auto reached = [](const Point& point) { return point.stream->done() >= point.count; };
  const auto can_go_on = [](const Point& point) { return point.stream->can_go_on(); };
  while (!std::all_of(points.begin(), points.end(), reached)) {
    if (!std::any_of(points.begin(), points.end(), can_go_on)) {
      mutex_.unlock();
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      mutex_.lock();
      continue;
    }
    const cudaError_t result = run([&] {
      for (const Point& point : points) point.stream->run_until(point.count);
    });
    if (result != cudaSuccess) return result;
  }
  return cudaSuccess;
}

cudaError_t EmulatedGpu::finish_everything() {
  std::vector<Point> points;
  for (const auto& stream : streams_)
    if (stream->device() == current_device()) points.push_back({stream, stream->pushed()});
  return finish(points);
}

cudaError_t EmulatedGpu::advance(const std::shared_ptr<Stream>& stream) {
  return stream->can_go_on() ? run([&] { stream->run_until(stream->done() + 1); }) : cudaSuccess;
}

cudaError_t EmulatedGpu::fail(cudaError_t error, std::string explanation) {
  last_error_ = explained_error_ = error;
  explanation_ = std::move(explanation);
  return error;
}

cudaError_t EmulatedGpu::take_last_error() {
  return std::exchange(last_error_, cudaSuccess);
}

const char* EmulatedGpu::describe(cudaError_t error) const {
  if (error == explained_error_ && !explanation_.empty()) return explanation_.c_str();
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorNotReady:
      return "device not ready";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    default:
      return "an error of the emulated GPU";
  }
}

}  // namespace cola::emulation
