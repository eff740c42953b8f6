// CUDA runtime, emulated: streams, events and graphs.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "core/error.h"
#include "emulated_gpu.h"

namespace {

using cola::emulation::EmulatedGpu;
using cola::emulation::Point;

EmulatedGpu& gpu() {
  return EmulatedGpu::instance().entered();
}

cudaError_t refuse_while_capturing(cola::emulation::Stream& stream, const char* what) {
  stream.invalidate_capture();
  return gpu().fail(cudaErrorStreamCaptureUnsupported,
                    fmt::format("{} while the stream is being recorded", what));
}

bool reached(const Point& point) {
  return !point.stream || point.stream->done() >= point.count;
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const std::lock_guard lock(gpu().mutex());
  *stream = new CUstream_st{gpu().make_stream(flags != cudaStreamNonBlocking)};
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = *greatest = 0;
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard lock(gpu().mutex());
  gpu().remove(stream->stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  const std::lock_guard lock(gpu().mutex());
  const auto stream = gpu().stream(handle);
  if (stream->capturing()) return refuse_while_capturing(*stream, "waiting for it");
  return gpu().finish({{stream, stream->pushed()}});
}
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const std::lock_guard lock(gpu().mutex());
  const auto stream = gpu().stream(handle);
  if (stream->capturing()) return refuse_while_capturing(*stream, "asking whether it is done");
  if (stream->done() == stream->pushed()) return cudaSuccess;
  const cudaError_t result = gpu().advance(stream);
  return result == cudaSuccess ? cudaErrorNotReady : result;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  const std::lock_guard lock(gpu().mutex());
  const auto stream = gpu().stream(handle);
  if (stream->capturing()) return refuse_while_capturing(*stream, "waiting for another stream");
  stream->push({nullptr, event->recorded});
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  gpu();
  *event = new CUevent_st;
  if (!(flags & cudaEventDisableTiming))
    (*event)->reached = std::make_shared<CUevent_st::Clock::time_point>();
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}
// CUDA lets a thread that destroys an event wait for another one that waits for room on the GPU: with
// COLA_EMULATED_OWN_EVENTS, no thread may destroy another's. Nobody looks at what this returns.
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (event->maker != std::this_thread::get_id() && std::getenv("COLA_EMULATED_OWN_EVENTS") != nullptr) {
    std::fputs("emulated GPU: an event is destroyed by another thread than the one that made it\n", stderr);
    std::abort();
  }
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const std::lock_guard lock(gpu().mutex());
  const auto stream = gpu().stream(handle);
  if (stream->capturing()) return refuse_while_capturing(*stream, "marking an event");
  if (event->reached) gpu().push(handle, [reached = event->reached] { *reached = CUevent_st::Clock::now(); });
  event->recorded = {stream, stream->pushed()};
  return cudaSuccess;
}
// Asking makes the GPU go on by one operation, so that asking again and again ends.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::lock_guard lock(gpu().mutex());
  const Point& point = event->recorded;
  if (reached(point)) return cudaSuccess;
  const cudaError_t result = gpu().advance(point.stream);
  return result == cudaSuccess ? cudaErrorNotReady : result;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const std::lock_guard lock(gpu().mutex());
  return event->recorded.stream ? gpu().finish({event->recorded}) : cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const std::lock_guard lock(gpu().mutex());
  if (!start->reached || !end->reached || !start->recorded.stream || !end->recorded.stream)
    return gpu().fail(cudaErrorInvalidResourceHandle, "the time between events that have none");
  if (!reached(start->recorded) || !reached(end->recorded)) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(*end->reached - *start->reached).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode) {
  const std::lock_guard lock(gpu().mutex());
  if (!handle) return gpu().fail(cudaErrorStreamCaptureUnsupported, "the default stream cannot be recorded");
  if (handle->stream->capturing())
    return gpu().fail(cudaErrorIllegalState, "the stream is being recorded already");
  handle->stream->begin_capture();
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const std::lock_guard lock(gpu().mutex());
  *status = gpu().stream(handle)->capturing() ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  const std::lock_guard lock(gpu().mutex());
  *graph = nullptr;
  if (!handle || !handle->stream->capturing())
    return gpu().fail(cudaErrorIllegalState, "the stream is not being recorded");
  bool valid = false;
  auto operations = handle->stream->end_capture(valid);
  if (!valid) return gpu().fail(cudaErrorStreamCaptureInvalidated);
  *graph = new CUgraph_st{std::move(operations)};
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new CUgraphExec_st{graph->operations};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t handle) {
  const std::lock_guard lock(gpu().mutex());
  for (const auto& operation : graph->operations) gpu().stream(handle)->push(operation);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete graph;
  return cudaSuccess;
}

}  // extern "C"
