#include "core/occupied_multiprocessors.h"

#include <chrono>
#include <cstdint>
#include <thread>

#include "core/cuda/cuda_device.h"
#include "core/cuda/launch.h"
#include "core/error.h"

namespace cola {

namespace cuda {

namespace {

constexpr int most_blocks = 255;
constexpr std::uint64_t longest_nanoseconds = 10'000'000'000;
// Beside it no block of a product finds room.
constexpr std::size_t shared_bytes = std::size_t{160} << 10;

/// In host memory, which both sides read.
struct Signals {
  int over;
  int started[most_blocks];
};

__device__ std::uint64_t nanoseconds() {
  std::uint64_t time = 0;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return time;
}

__global__ void hold(volatile Signals* signals) {
  const std::uint64_t begin = nanoseconds();
  signals->started[blockIdx.x] = 1;
  while (signals->over == 0 && nanoseconds() - begin < longest_nanoseconds) __nanosleep(1000);
}

class Held final : public OccupiedMultiprocessors {
 public:
  Held(CudaDevice& device, int count, Beside beside)
      : device_(device),
        beside_(beside),
        memory_(make_pinned_memory(sizeof(Signals))),
        stream_(make_stream()) {
    if (count > most_blocks) throw Error("more multiprocessors than can be occupied");
    signals_ = new (memory_.get()) Signals{};
    if (count > 0) start(count);
    if (beside_ == Beside::collective) device_.begin_collective();
  }
  ~Held() override {
    if (beside_ == Beside::collective) device_.end_collective();
    signals_->over = 1;
    cudaStreamSynchronize(stream_.get());
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  void start(int count) {
    device_.synchronize();
    launch("holding multiprocessors", hold, {static_cast<unsigned>(count), 32, shared_bytes}, stream_.get(),
           signals_);
    const auto begin = std::chrono::steady_clock::now();
    for (int block = 0; block < count; ++block)
      while (signals_->started[block] == 0) {
        std::this_thread::yield();
        if (std::chrono::steady_clock::now() - begin < std::chrono::seconds(5)) continue;
        signals_->over = 1;
        cudaStreamSynchronize(stream_.get());
        throw DeviceError("multiprocessors cannot be occupied");
      }
  }

  CudaDevice& device_;
  Beside beside_;
  PinnedMemory memory_;
  Stream stream_;
  volatile Signals* signals_ = nullptr;
};

}  // namespace

}  // namespace cuda

std::unique_ptr<OccupiedMultiprocessors> occupy_multiprocessors(Device& device, int count, Beside beside) {
  auto* gpu = dynamic_cast<cuda::CudaDevice*>(&device);
  if (!gpu) return nullptr;
  return std::make_unique<cuda::Held>(*gpu, count, beside);
}

}  // namespace cola
