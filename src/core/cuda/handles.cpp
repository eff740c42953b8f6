#include "core/cuda/handles.h"

#include <algorithm>

#include "core/cuda/check.h"
#include "core/error.h"

namespace cola::cuda {

Stream make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  return Event(event);
}

Event make_timing_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "making a timing event");
  return Event(event);
}

BlasHandle make_blas_handle() {
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle), "starting cuBLAS");
  return BlasHandle(handle);
}

PinnedMemory make_pinned_memory(std::size_t bytes) {
  void* memory = nullptr;
  if (cudaHostAlloc(&memory, std::max<std::size_t>(bytes, 1), cudaHostAllocDefault) != cudaSuccess) {
    cudaGetLastError();  // it would surface again at the next check
    throw DeviceError("{} bytes of pinned host memory could not be had", bytes);
  }
  return PinnedMemory(memory);
}

}  // namespace cola::cuda
