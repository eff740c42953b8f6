#include "core/occupied_multiprocessors.h"

#include <chrono>
#include <new>
#include <thread>

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
        memory_(cuda::make_pinned_memory(sizeof(cuda::HoldSignals))),
        stream_(cuda::make_stream()),
        signals_(new (memory_.get()) cuda::HoldSignals) {
    if (count > cuda::HoldSignals::most_blocks) throw Error("{} multiprocessors cannot be occupied", count);
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
    cuda::hold_multiprocessors(count, signals_, stream_.get());
    const auto begin = std::chrono::steady_clock::now();
    for (int block = 0; block < count; ++block)
      while (signals_->started[block] == 0) {
        std::this_thread::yield();
        if (std::chrono::steady_clock::now() - begin < std::chrono::seconds(5)) continue;
        end();
        throw DeviceError("{} multiprocessors cannot be occupied", count);
      }
  }
  void end() {
    signals_->over = 1;
    cudaStreamSynchronize(stream_.get());
  }

  cuda::CudaDevice& device_;
  Beside beside_;
  cuda::PinnedMemory memory_;
  cuda::Stream stream_;
  volatile cuda::HoldSignals* signals_;
};

}  // namespace

std::unique_ptr<OccupiedMultiprocessors> occupy_multiprocessors(Device& device, int count, Beside beside) {
  auto* gpu = dynamic_cast<cuda::CudaDevice*>(&device);
  if (!gpu) return nullptr;
  return std::make_unique<Held>(*gpu, count, beside);
}

}  // namespace cola
