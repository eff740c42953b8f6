#include "racing_kernels.h"

#include "core/cuda/hopper/warp_group.h"
#include "core/cuda/launch.h"
#include "core/cuda/tensor_core.h"

namespace cola::emulation {

__global__ void read_of_another_warp(int* out, bool wait) {
  __shared__ int values[64];
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (wait) __syncthreads();
  out[threadIdx.x] = values[63 - threadIdx.x];
}

__global__ void write_after_read(int* out, bool wait) {
  __shared__ int values[64];
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = values[63 - threadIdx.x];
  if (wait) __syncthreads();
  values[threadIdx.x] = 0;
}

__global__ void exchange_in_warp(int* out, bool wait) {
  __shared__ int values[32];
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (wait)
    __syncwarp();
  else
    __shfl_xor_sync(0xffffffffu, 0, 1);
  out[threadIdx.x] = values[threadIdx.x ^ 1];
}

__global__ void read_beside_a_group(int* out, bool wait) {
  __shared__ int values[128];
  if (threadIdx.x < 128) {
    values[threadIdx.x] = static_cast<int>(threadIdx.x);
    cuda::warp_group::wait_for_group(1);
    out[threadIdx.x] = values[127 - threadIdx.x];
  }
  if (wait) __syncthreads();
  if (threadIdx.x >= 128) out[threadIdx.x] = values[threadIdx.x - 128];
}

__global__ void read_a_copy(const int* in, int* out, bool wait) {
  auto* values = reinterpret_cast<int*>(dynamic_shared_memory());
  if (threadIdx.x < 16) cuda::start_copy_to_shared(values + 4 * threadIdx.x, in + 4 * threadIdx.x, true);
  cuda::close_copy_group();
  cuda::wait_for_copies<0>();
  if (wait) __syncthreads();
  out[threadIdx.x] = values[threadIdx.x];
}

__global__ void write_neighbours(int* out) {
  __shared__ std::uint16_t values[64];
  values[threadIdx.x] = static_cast<std::uint16_t>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = values[63 - threadIdx.x];
}

}  // namespace cola::emulation
