// What nvcc gives every kernel file by itself: built-in variables and functions. Included ahead of each .cu
// file by the compiler's command line.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "block.h"
#include "warp_collectives.h"

// Shared arrays are thread-local variables of the one thread that runs all kernels: so they can be found and
// filled with NaN before each block.
#undef __shared__
#define __shared__ static thread_local
#undef __launch_bounds__
#define __launch_bounds__(...)

// Of the thread that runs now.
inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;
constexpr int warpSize = 32;

inline void __syncthreads(const cola::emulation::Site& site = cola::emulation::Site::current()) {
  cola::emulation::wait_for_block(site);
}
inline void __syncwarp(unsigned mask = 0xffffffffu,
                       const cola::emulation::Site& site = cola::emulation::Site::current()) {
  cola::emulation::join_warp(
      "__syncwarp", mask, [](const cola::emulation::Operands&) { cola::emulation::order_lanes(); }, nullptr,
      site);
}
template <typename T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32,
              const cola::emulation::Site& site = cola::emulation::Site::current()) {
  return cola::emulation::shuffle<cola::emulation::Given>("__shfl_sync", mask, value, lane, width, site);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  const cola::emulation::Site& site = cola::emulation::Site::current()) {
  return cola::emulation::shuffle<cola::emulation::ExclusiveOr>("__shfl_xor_sync", mask, value, bits, width,
                                                                site);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                 const cola::emulation::Site& site = cola::emulation::Site::current()) {
  return cola::emulation::shuffle<cola::emulation::Below>("__shfl_up_sync", mask, value,
                                                          static_cast<int>(distance), width, site);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                   const cola::emulation::Site& site = cola::emulation::Site::current()) {
  return cola::emulation::shuffle<cola::emulation::Above>("__shfl_down_sync", mask, value,
                                                          static_cast<int>(distance), width, site);
}
inline unsigned __ballot_sync(unsigned mask, bool predicate,
                              const cola::emulation::Site& site = cola::emulation::Site::current()) {
  return cola::emulation::ballot(mask, predicate, site);
}

// Arithmetic. The GPU's fast versions are less exact than these.
inline float __expf(float x) {
  return std::exp(x);
}
inline float __logf(float x) {
  return std::log(x);
}
inline float __fdividef(float x, float y) {
  return x / y;
}
inline float __frcp_rn(float x) {
  return 1.0f / x;
}
inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
inline std::uint32_t __umulhi(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint32_t>(std::uint64_t{a} * b >> 32);
}
template <typename To, typename From>
inline To __same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}
inline int __float_as_int(float x) {
  return __same_bits<int>(x);
}
inline unsigned __float_as_uint(float x) {
  return __same_bits<unsigned>(x);
}
inline float __int_as_float(int x) {
  return __same_bits<float>(x);
}
inline float __uint_as_float(unsigned x) {
  return __same_bits<float>(x);
}
using std::max;
using std::min;

// Loads and stores that say how to cache.
template <typename T>
T __ldg(const T* address) {
  return *address;
}
template <typename T>
T __ldcs(const T* address) {
  return *address;
}
template <typename T>
void __stcs(T* address, T value) {
  *address = value;
}
