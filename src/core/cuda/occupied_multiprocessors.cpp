#include "core/occupied_multiprocessors.h"

#include <chrono>
#include <cstring>
#include <thread>

#include "core/buffer.h"
#include "core/cuda/cuda_device.h"
#include "core/cuda/hopper/hold_multiprocessors.h"
#include "core/error.h"

namespace cola {

namespace {

class Held final : public OccupiedMultiprocessors {
 public:
  Held(cuda::CudaDevice& device, int count, Beside beside)
      : device_(device),
        beside_(beside),
        started_(cuda::make_pinned_memory(cuda::HoldSignals::most_blocks * sizeof(int))),
        over_(device, sizeof(int)),
        stream_(cuda::make_stream()) {
    if (count > cuda::HoldSignals::most_blocks)
      throw DeviceError("{} multiprocessors cannot be occupied", count);
    std::memset(started_.get(), 0, cuda::HoldSignals::most_blocks * sizeof(int));
    device_.fill_bytes(over_.data(), 0, over_.bytes());
    if (count > 0) start(count);
    if (beside_ == Beside::collective) device_.begin_collective();
  }
  ~Held() override {
    if (beside_ == Beside::collective) device_.end_collective();
    end();
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  void start(int count) {
    device_.synchronize();
    auto* const started = static_cast<int*>(started_.get());
    cuda::hold_multiprocessors(count, {started, static_cast<const int*>(over_.data())}, stream_.get());
    const auto begin = std::chrono::steady_clock::now();
    for (int block = 0; block < count; ++block)
      while (static_cast<volatile int*>(started)[block] == 0) {
        std::this_thread::yield();
        if (std::chrono::steady_clock::now() - begin < std::chrono::seconds(5)) continue;
        end();
        throw DeviceError("{} multiprocessors cannot be occupied", count);
      }
  }
  // Behind the kernels given so far, which were to run beside it.
  void end() {
    cudaMemsetAsync(over_.data(), 1, over_.bytes(), device_.stream());
    cudaStreamSynchronize(stream_.get());
  }

  cuda::CudaDevice& device_;
  Beside beside_;
  cuda::PinnedMemory started_;
  Buffer over_;
  cuda::Stream stream_;
};

}  // namespace

std::unique_ptr<OccupiedMultiprocessors> occupy_multiprocessors(Device& device, int count, Beside beside) {
  auto* gpu = dynamic_cast<cuda::CudaDevice*>(&device);
  if (!gpu) return nullptr;
  return std::make_unique<Held>(*gpu, count, beside);
}

}  // namespace cola
