// CUDA runtime, emulated: devices, errors and launches.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>

#include "block_runner.h"
#include "core/error.h"
#include "emulated_gpu.h"
#include "grid.h"

namespace {

using cola::emulation::EmulatedGpu;

constexpr int compute_capability_major = 9, compute_capability_minor = 0;
constexpr int multiprocessors = 6;  // few, so that loops over what a grid leaves are taken

EmulatedGpu& gpu() {
  return EmulatedGpu::instance();
}

bool exists(int device) {
  return device >= 0 && device < gpu().device_count();
}

}  // namespace

namespace cola::emulation {

namespace {

// What CUDA refuses for every kernel (programming guide, "Technical Specifications per Compute Capability").
std::string why_not(const Grid& grid) {
  const dim3 t = grid.threads, b = grid.blocks;
  if (t.x == 0 || t.y == 0 || t.z == 0 || std::uint64_t{t.x} * t.y * t.z > 1024 || t.z > 64)
    return fmt::format("blocks of {} x {} x {} threads", t.x, t.y, t.z);
  if (b.x == 0 || b.y == 0 || b.z == 0 || b.x > 2147483647u || b.y > 65535 || b.z > 65535)
    return fmt::format("a grid of {} x {} x {} blocks", b.x, b.y, b.z);
  if (grid.shared_bytes > maximum_shared_bytes)
    return fmt::format("{} bytes of shared memory", grid.shared_bytes);
  return {};
}

}  // namespace

cudaError_t launch(Grid&& grid, cudaStream_t stream) {
  const std::lock_guard lock(gpu().entered().mutex());
  if (const std::string problem = why_not(grid); !problem.empty())
    return gpu().fail(cudaErrorInvalidConfiguration, problem + " cannot be launched");
  gpu().push(stream, [grid = std::move(grid)] { gpu().runner().run(grid); });
  return cudaSuccess;
}

}  // namespace cola::emulation

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = gpu().device_count();
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (!exists(device)) return gpu().fail(cudaErrorInvalidDevice);
  EmulatedGpu::current_device() = device;
  gpu().entered();
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = EmulatedGpu::current_device();
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
// GPUs 0 and 1 are joined by NVLink, GPU 2 reaches them over PCIe: links of both kinds.
cudaError_t cudaDeviceGetP2PAttribute(int* value, cudaDeviceP2PAttr attribute, int first, int second) {
  if (!exists(first) || !exists(second) || first == second) return gpu().fail(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevP2PAttrAccessSupported:
      *value = 1;
      return cudaSuccess;
    case cudaDevP2PAttrNativeAtomicSupported:
      *value = first < 2 && second < 2;
      return cudaSuccess;
    default:
      return gpu().fail(cudaErrorInvalidValue, "an attribute of two GPUs that is not emulated");
  }
}
cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
  if (!exists(device)) return gpu().fail(cudaErrorInvalidDevice);
  std::snprintf(id, static_cast<std::size_t>(length), "0000:%02X:00.0", 0x65 + device);
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (!exists(device)) return gpu().fail(cudaErrorInvalidDevice);
  *properties = {};
  std::strcpy(properties->name, "emulated GPU");
  properties->totalGlobalMem = gpu().memory().total_bytes();
  properties->multiProcessorCount = multiprocessors;
  properties->major = compute_capability_major;
  properties->minor = compute_capability_minor;
  properties->warpSize = cola::emulation::warp_lanes;
  properties->maxThreadsPerBlock = 1024;
  properties->sharedMemPerBlock = 48 << 10;
  properties->sharedMemPerBlockOptin = cola::emulation::maximum_shared_bytes;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (!exists(device)) return gpu().fail(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = multiprocessors;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = compute_capability_major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = compute_capability_minor;
      return cudaSuccess;
    default:
      return gpu().fail(cudaErrorInvalidValue, "an attribute that is not emulated");
  }
}
cudaError_t cudaDeviceSynchronize() {
  const std::lock_guard lock(gpu().entered().mutex());
  return gpu().finish_everything();
}

cudaError_t cudaGetLastError() {
  const std::lock_guard lock(gpu().mutex());
  return gpu().take_last_error();
}
cudaError_t cudaPeekAtLastError() {
  const std::lock_guard lock(gpu().mutex());
  return gpu().last_error();
}
const char* cudaGetErrorString(cudaError_t error) {
  const std::lock_guard lock(gpu().mutex());
  return gpu().describe(error);
}

}  // extern "C"
