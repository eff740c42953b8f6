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

__global__ void load_of_another_warp(int* out, bool wait) {
  alignas(16) __shared__ std::uint32_t values[2][128];
  const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (unsigned i = lane; i < 128; i += 32) values[warp][i] = i;
  if (wait) __syncthreads();
  std::uint32_t tiles[4];
  cuda::load_tiles(tiles, values[1 - warp] + 4 * lane);
  out[threadIdx.x] = static_cast<int>(tiles[0]);
}

__device__ unsigned char* square_of_zeros() {
  const auto address = reinterpret_cast<std::uintptr_t>(dynamic_shared_memory());
  auto* const square = dynamic_shared_memory() + (1024 - address % 1024) % 1024;
  for (unsigned i = threadIdx.x; i < 4096; i += 128) reinterpret_cast<std::uint16_t*>(square)[i] = 0;
  return square;
}
__device__ void start_product_of(const unsigned char* square, cuda::warp_group::Sums& sums) {
  using namespace cuda;
  warp_group::prepare_products(sums);
  const auto part = warp_group::part_of<warp_group::Lies::along_rows>(square, 0);
  warp_group::start_product<warp_group::Lies::along_rows, warp_group::Lies::along_rows>(sums, part, part,
                                                                                        false);
  warp_group::close_products();
}

__global__ void multiply_early(int* out, bool wait) {
  const unsigned char* const square = square_of_zeros();
  cuda::warp_group::show_writes_to_products();
  if (wait) __syncthreads();
  cuda::warp_group::Sums sums = {};
  start_product_of(square, sums);
  if (!wait) __syncthreads();
  cuda::warp_group::wait_for_products<0>(sums);
  out[threadIdx.x] = static_cast<int>(sums[0][0]);
}

__global__ void multiply_what_all_wrote(int* out, bool all_fence) {
  const unsigned char* const square = square_of_zeros();
  if (!all_fence) __syncthreads();
  if (all_fence || threadIdx.x < 32) cuda::warp_group::show_writes_to_products();
  __syncthreads();
  cuda::warp_group::Sums sums = {};
  start_product_of(square, sums);
  cuda::warp_group::wait_for_products<0>(sums);
  out[threadIdx.x] = static_cast<int>(sums[0][0]);
}

__global__ void write_neighbours(int* out) {
  __shared__ std::uint16_t values[64];
  values[threadIdx.x] = static_cast<std::uint16_t>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = values[63 - threadIdx.x];
}

}  // namespace cola::emulation
