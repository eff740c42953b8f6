// EmulatedGpu: the GPUs that the emulated CUDA runtime finds, which share one memory and one thread that runs
// their kernels and copies while the host waits for them. One, or COLA_EMULATED_GPUS.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "device_memory.h"
#include "stream.h"

namespace cola::emulation {

class BlockRunner;

class EmulatedGpu {
 public:
  /// Made at its first use; the seed of all orders is COLA_EMULATION_SEED or a fresh one.
  static EmulatedGpu& instance();

  /// Held by every call of the runtime.
  std::recursive_mutex& mutex() { return mutex_; }
  DeviceMemory& memory() { return memory_; }
  std::uint64_t seed() const { return seed_; }
  int device_count() const { return device_count_; }
  void set_device_count(int count) { device_count_ = count; }
  /// The GPU that this thread has chosen.
  static int& current_device();
  /// On the GPU's thread: what runs there.
  BlockRunner& runner() { return *runner_; }
  bool on_gpu_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

  /// What CUDA does in nearly every call: the calling thread's GPU has a context of this process from here
  /// on, which takes memory there. Said on stderr where COLA_EMULATION_CONTEXTS is set. Returns this.
  EmulatedGpu& entered();
  std::set<int> contexts();

  /// A blocking stream and the default stream wait for what the other was given before.
  std::shared_ptr<Stream> make_stream(bool blocking);
  /// Does its work first.
  void remove(const std::shared_ptr<Stream>& stream);
  /// The stream behind a handle; null stands for the default stream.
  std::shared_ptr<Stream> stream(cudaStream_t handle);
  /// Gives the stream something to do.
  void push(cudaStream_t handle, std::function<void()> work);
  /// Whether this thread records a stream; what is refused meanwhile spoils the recording.
  bool invalidate_captures();

  /// Does all work up to these points, and waits for other ranks where it must. The caller holds the mutex
  /// once; others may take it meanwhile.
  cudaError_t finish(const std::vector<Point>& points);
  /// All work of this thread's GPU.
  cudaError_t finish_everything();
  /// Does the stream's next operation, if it need not wait. Success does not mean that there was one.
  cudaError_t advance(const std::shared_ptr<Stream>& stream);

  /// Keeps the error for cudaGetLastError and, with `explanation`, for cudaGetErrorString; returns it.
  cudaError_t fail(cudaError_t error, std::string explanation = {});
  cudaError_t take_last_error();
  cudaError_t last_error() const { return last_error_; }
  const char* describe(cudaError_t error) const;

 private:
  EmulatedGpu();
  ~EmulatedGpu();
  void serve();
  cudaError_t run(const std::function<void()>& work);

  std::recursive_mutex mutex_;
  std::set<int> contexts_;
  std::uint64_t seed_;
  int device_count_;
  DeviceMemory memory_;
  std::set<std::shared_ptr<Stream>> streams_, blocking_streams_;
  std::shared_ptr<Stream> default_stream_;
  cudaError_t last_error_ = cudaSuccess, explained_error_ = cudaSuccess;
  std::string explanation_;

  std::unique_ptr<BlockRunner> runner_;
  std::mutex hand_over_;
  std::condition_variable changed_;
  const std::function<void()>* task_ = nullptr;
  std::string problem_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cola::emulation
