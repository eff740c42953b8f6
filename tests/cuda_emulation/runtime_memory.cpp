// CUDA runtime, emulated: memory, copies and fills. Pointers are checked when the work is given.
#include <cuda_runtime_api.h>

#include <cstring>
#include <vector>

#include "core/error.h"
#include "emulated_gpu.h"

namespace {

using cola::emulation::EmulatedGpu;
using cola::emulation::MemoryKind;

EmulatedGpu& gpu() {
  return EmulatedGpu::instance().entered();
}

cudaError_t refuse_while_capturing(const char* what) {
  return gpu().fail(cudaErrorStreamCaptureUnsupported,
                    fmt::format("{} while a stream is being recorded", what));
}

cudaMemcpyKind kind_of_copy(const void* to, const void* from) {
  const bool to_device = gpu().memory().kind_of(to) == MemoryKind::device;
  const bool from_device = gpu().memory().kind_of(from) == MemoryKind::device;
  if (from_device) return to_device ? cudaMemcpyDeviceToDevice : cudaMemcpyDeviceToHost;
  return to_device ? cudaMemcpyHostToDevice : cudaMemcpyHostToHost;
}

// Whether the addresses are what `kind` says they are, all bytes.
bool matches(const void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const auto& memory = gpu().memory();
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const auto right = [&](const void* address, bool device) {
    return device ? memory.holds(address, bytes) : memory.kind_of(address) != MemoryKind::device;
  };
  return right(to, to_device) && right(from, from_device);
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const std::lock_guard lock(gpu().mutex());
  if (gpu().invalidate_captures()) return refuse_while_capturing("allocating memory");
  *memory = gpu().memory().allocate(bytes);
  return *memory ? cudaSuccess : gpu().fail(cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* memory) {
  const std::lock_guard lock(gpu().mutex());
  if (!memory) return cudaSuccess;
  const cudaError_t result = gpu().finish_everything();  // kernels given before may use it
  if (!gpu().memory().free(memory, MemoryKind::device))
    return gpu().fail(cudaErrorInvalidValue, "cudaFree of what cudaMalloc has not given");
  return result;
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  const std::lock_guard lock(gpu().mutex());
  *memory = gpu().memory().allocate_pinned(bytes);
  return *memory ? cudaSuccess : gpu().fail(cudaErrorMemoryAllocation);
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}
cudaError_t cudaFreeHost(void* memory) {
  const std::lock_guard lock(gpu().mutex());
  if (!memory) return cudaSuccess;
  const cudaError_t result = gpu().finish_everything();
  if (!gpu().memory().free(memory, MemoryKind::pinned))
    return gpu().fail(cudaErrorInvalidValue, "cudaFreeHost of what cudaHostAlloc has not given");
  return result;
}
cudaError_t cudaMemGetInfo(std::size_t* available, std::size_t* total) {
  const std::lock_guard lock(gpu().mutex());
  *available = gpu().memory().free_bytes();
  *total = gpu().memory().total_bytes();
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  const std::lock_guard lock(gpu().mutex());
  *attributes = {};
  const MemoryKind kind = gpu().memory().kind_of(pointer);
  attributes->type = kind == MemoryKind::device   ? cudaMemoryTypeDevice
                     : kind == MemoryKind::pinned ? cudaMemoryTypeHost
                                                  : cudaMemoryTypeUnregistered;
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  const std::lock_guard lock(gpu().mutex());
  if (bytes == 0) return cudaSuccess;
  if (!gpu().memory().holds(memory, bytes))
    return gpu().fail(cudaErrorInvalidValue,
                      fmt::format("filling {} bytes that are not device memory", bytes));
  gpu().push(stream, [=] { std::memset(memory, value, bytes); });
  return cudaSuccess;
}

// Pageable memory is copied aside when the call is made, and has been written to when it returns; pinned
// memory is read and written when the stream comes to it.
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t handle) {
  const std::lock_guard lock(gpu().mutex());
  if (bytes == 0) return cudaSuccess;
  if (kind == cudaMemcpyDefault) kind = kind_of_copy(to, from);
  if (!matches(to, from, bytes, kind))
    return gpu().fail(cudaErrorInvalidValue,
                      fmt::format("copying {} bytes from {} to {}, which are not where the copy's kind says",
                                  bytes, from, to));
  const auto stream = gpu().stream(handle);
  const bool from_pageable = gpu().memory().kind_of(from) == MemoryKind::pageable;
  const bool to_pageable = gpu().memory().kind_of(to) == MemoryKind::pageable;
  if (stream->capturing() && (from_pageable || to_pageable)) {
    stream->invalidate_capture();
    return refuse_while_capturing("copying from or to pageable memory");
  }
  if (from_pageable) {
    const auto* first = static_cast<const unsigned char*>(from);
    std::vector<unsigned char> staged(first, first + bytes);
    gpu().push(handle, [=, staged = std::move(staged)] { std::memcpy(to, staged.data(), bytes); });
  } else {
    gpu().push(handle, [=] { std::memmove(to, from, bytes); });
  }
  return to_pageable ? gpu().finish({{stream, stream->pushed()}}) : cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t result = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  return result == cudaSuccess ? cudaStreamSynchronize(nullptr) : result;
}

}  // extern "C"
