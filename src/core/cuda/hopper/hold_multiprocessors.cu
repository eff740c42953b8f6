#include "core/cuda/hopper/hold_multiprocessors.h"

#include <cstddef>

#include "core/cuda/launch.h"

namespace cola::cuda {

namespace {

constexpr long long most_cycles = 20'000'000'000;  // about ten seconds
constexpr std::size_t shared_bytes = std::size_t{160} << 10;

__global__ void hold(HoldSignals signals) {
  const long long begin = clock64();
  *static_cast<volatile int*>(signals.started + blockIdx.x) = 1;
  const volatile int* const over = signals.over;
  while (*over == 0 && clock64() - begin < most_cycles) __nanosleep(1000);
}

}  // namespace

void hold_multiprocessors(int count, const HoldSignals& signals, cudaStream_t stream) {
  launch("holding multiprocessors", hold, {static_cast<unsigned>(count), 32, shared_bytes}, stream, signals);
}

}  // namespace cola::cuda
