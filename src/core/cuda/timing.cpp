#include "core/cuda/timing.h"

#include "core/cuda/check.h"
#include "core/cuda/cuda_device.h"

namespace cola::cuda {

float shortest_milliseconds(cudaStream_t stream, const std::function<void()>& work) {
  constexpr int repetitions = 4;
  const Event begin = make_timing_event(), end = make_timing_event();
  float shortest = 0;
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    check(cudaEventRecord(begin.get(), stream), "timing a kernel");
    work();
    check(cudaEventRecord(end.get(), stream), "timing a kernel");
    check(cudaEventSynchronize(end.get()), "timing a kernel");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()), "timing a kernel");
    if (repetition == 1 || (repetition > 1 && milliseconds < shortest)) shortest = milliseconds;
  }
  return shortest;
}

SavedValues::SavedValues(void* values, std::size_t bytes, cudaStream_t stream)
    : values_(values), bytes_(bytes), stream_(stream) {
  if (!values) return;
  if (cudaMalloc(&copy_, bytes) != cudaSuccess) {
    cudaGetLastError();  // it would surface again at the next check
    copy_ = nullptr;
    return;
  }
  check(cudaMemcpyAsync(copy_, values_, bytes_, cudaMemcpyDeviceToDevice, stream_), "putting values aside");
}

SavedValues::~SavedValues() {
  if (!copy_) return;
  cudaMemcpyAsync(values_, copy_, bytes_, cudaMemcpyDeviceToDevice, stream_);
  cudaStreamSynchronize(stream_);
  cudaFree(copy_);
}

}  // namespace cola::cuda
