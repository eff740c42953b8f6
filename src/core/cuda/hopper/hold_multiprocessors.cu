#include "core/cuda/hopper/hold_multiprocessors.h"

#include <cstddef>
#include <cstdint>

#include "core/cuda/launch.h"

namespace cola::cuda {

namespace {

constexpr std::uint64_t longest_nanoseconds = 10'000'000'000;
constexpr std::size_t shared_bytes = std::size_t{160} << 10;

__device__ std::uint64_t nanoseconds() {
  std::uint64_t time = 0;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return time;
}

__global__ void hold(volatile HoldSignals* signals) {
  const std::uint64_t begin = nanoseconds();
  signals->started[blockIdx.x] = 1;
  while (signals->over == 0 && nanoseconds() - begin < longest_nanoseconds) __nanosleep(1000);
}

}  // namespace

void hold_multiprocessors(int count, volatile HoldSignals* signals, cudaStream_t stream) {
  launch("holding multiprocessors", hold, {static_cast<unsigned>(count), 32, shared_bytes}, stream, signals);
}

}  // namespace cola::cuda
