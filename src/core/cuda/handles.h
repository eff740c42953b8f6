// What CUDA and cuBLASLt hand out, given back with its owner.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>

namespace cola::cuda {

template <auto give_back>
struct GiveBack {
  template <typename Object>
  void operator()(Object* object) const noexcept {
    give_back(object);
  }
};

using Stream = std::unique_ptr<CUstream_st, GiveBack<cudaStreamDestroy>>;
using Event = std::unique_ptr<CUevent_st, GiveBack<cudaEventDestroy>>;
using BlasHandle = std::unique_ptr<cublasLtContext, GiveBack<cublasLtDestroy>>;
using PinnedMemory = std::unique_ptr<void, GiveBack<cudaFreeHost>>;

/// A stream that does not wait for the legacy default stream.
Stream make_stream();
/// An event without timing.
Event make_event();
/// An event that marks a time.
Event make_timing_event();
BlasHandle make_blas_handle();
/// Host memory that the GPU can reach. Throws DeviceError with the size where it cannot be had.
PinnedMemory make_pinned_memory(std::size_t bytes);

}  // namespace cola::cuda
