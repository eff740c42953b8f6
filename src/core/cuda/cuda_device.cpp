#include "core/cuda/cuda_device.h"

#include <nvtx3/nvToolsExt.h>

#include <algorithm>

#include "core/cuda/check.h"
#include "core/cuda/recorded_graph.h"
#include "core/error.h"

namespace cola::cuda {

namespace {

constexpr int oldest_compute_capability = 80;

// What CUDA's libraries take later, when their kernels are first used: not to be given out.
constexpr std::size_t libraries_bytes = std::size_t{512} << 20;

cudaDeviceProp properties_of(int ordinal) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, ordinal), "reading the GPU's properties");
  return properties;
}

// A copy on the second stream, between two events. Other threads wait for it: each has to be told the GPU
// first, or CUDA would take up memory on the first one for it.
class StreamCopy final : public PendingCopy {
 public:
  StreamCopy(int ordinal, cudaStream_t kernels, cudaStream_t copies, void* to, const void* from,
             std::size_t bytes)
      : ordinal_(ordinal), finished_(make_event()) {
    const Event written = make_event();
    check(cudaEventRecord(written.get(), kernels), "marking the start of a copy");
    check(cudaStreamWaitEvent(copies, written.get(), 0), "ordering a copy after kernels");
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, copies), "copying to host memory");
    check(cudaEventRecord(finished_.get(), copies), "marking the end of a copy");
  }
  ~StreamCopy() override {
    cudaSetDevice(ordinal_);
    cudaEventSynchronize(finished_.get());
  }

  bool done() override {
    use_gpu();
    const cudaError_t state = cudaEventQuery(finished_.get());
    if (state == cudaErrorNotReady) return false;
    check(state, "copying to host memory");
    return true;
  }
  void wait() override {
    use_gpu();
    check(cudaEventSynchronize(finished_.get()), "copying to host memory");
  }

 private:
  void use_gpu() const { check(cudaSetDevice(ordinal_), "choosing a GPU"); }

  int ordinal_;
  Event finished_;
};

class EventMark final : public TimeMark {
 public:
  explicit EventMark(cudaStream_t stream) : event_(make_timing_event()) {
    check(cudaEventRecord(event_.get(), stream), "marking a time");
  }
  double seconds_since(const TimeMark& earlier) const override {
    float milliseconds = 0;
    check(cudaEventSynchronize(event_.get()), "waiting for a time mark");
    check(cudaEventElapsedTime(&milliseconds, static_cast<const EventMark&>(earlier).event_.get(),
                               event_.get()),
          "measuring time");
    return 1e-3 * milliseconds;
  }

 private:
  Event event_;
};

}  // namespace

CudaDevice::CudaDevice(int ordinal, const CudaOptions& options)
    : ordinal_(ordinal),
      context_(make_context()),
      upload_(context_.stream),
      matmul_(context_, options.smallest_timed_product),
      norm_(context_),
      rope_(context_),
      attention_(context_, options.attention),
      activation_(context_),
      fused_products_(context_, matmul_, activation_, rope_, norm_),
      embedding_(context_),
      cross_entropy_(context_),
      adamw_(context_),
      reduce_(context_) {}

Context CudaDevice::make_context() {
  check(cudaSetDevice(ordinal_), "choosing a GPU");
  const cudaDeviceProp properties = properties_of(ordinal_);
  model_ = properties.name;
  Context context;
  context.multiprocessors = properties.multiProcessorCount;
  context.compute_capability = 10 * properties.major + properties.minor;
  if (context.compute_capability < oldest_compute_capability)
    throw DeviceError("GPU {} ({}) has compute capability {}.{}: 8.0 (A100) or newer is needed", ordinal_,
                      model_, properties.major, properties.minor);
  stream_ = make_stream();
  copy_stream_ = make_stream();
  context.stream = stream();
  blas_ = make_blas_handle();
  context.blas = blas_.get();
  blas_workspace_ = Buffer(*this, Context::blas_workspace_bytes);
  context.blas_workspace = blas_workspace_.data();
  scratch_ = Buffer(*this, Context::scratch_bytes);
  context.scratch = scratch_.data();
  static_assert(Context::blas_workspace_bytes + Context::scratch_bytes ==
                workspace_bytes_of(DeviceKind::cuda));
  return context;
}

CudaDevice::~CudaDevice() {
  cudaStreamSynchronize(stream());  // before its memory goes
}

std::string CudaDevice::name() const {
  return fmt::format("{} (GPU {}), {} multiprocessors", model_, ordinal_, context_.multiprocessors);
}

void* CudaDevice::allocate(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t result = cudaMalloc(&memory, std::max<std::size_t>(bytes, 1));
  if (result == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it would surface again at the next check
    std::size_t available = 0, total = 0;
    check(cudaMemGetInfo(&available, &total), "reading the GPU's free memory");
    constexpr double gib = 1024.0 * 1024 * 1024;
    throw DeviceError(
        "GPU {} is out of memory: {:.2f} GiB more were asked for, this process holds {:.2f}, {:.2f} of "
        "{:.2f} GiB are free; lower train.micro_batch, or choose another train.recompute or "
        "parallel.zero_stage: cola_dist --plan says what each takes",
        ordinal_, static_cast<double>(bytes) / gib, static_cast<double>(allocated_) / gib,
        static_cast<double>(available) / gib, static_cast<double>(total) / gib);
  }
  check(result, "allocating memory");
  sizes_[memory] = bytes;
  allocated_ += bytes;
  peak_allocated_ = std::max(peak_allocated_, allocated_);
  return memory;
}

std::size_t CudaDevice::memory_bytes() const {
  std::size_t available = 0, total = 0;
  check(cudaMemGetInfo(&available, &total), "reading the GPU's free memory");
  const std::size_t reserved = std::min(available, libraries_bytes);
  return available - reserved + allocated_;
}

void CudaDevice::free(void* memory) noexcept {
  const auto entry = sizes_.find(memory);
  if (entry == sizes_.end()) return;
  allocated_ -= entry->second;
  sizes_.erase(entry);
  cudaFree(memory);
}

void CudaDevice::fill_bytes(void* memory, int value, std::size_t bytes) {
  check(cudaMemsetAsync(memory, value, bytes, stream()), "filling memory");
}

void CudaDevice::copy_from_host(void* to, const void* from, std::size_t bytes) {
  upload_.copy(to, from, bytes);
}

void CudaDevice::copy_to_host(void* to, const void* from, std::size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), "copying to host memory");
  synchronize();
}

void CudaDevice::copy_on_device(void* to, const void* from, std::size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()), "copying on the GPU");
}

void CudaDevice::synchronize() {
  check(cudaStreamSynchronize(stream()), "the work given so far");
}

void* CudaDevice::allocate_host(std::size_t bytes) {
  return make_pinned_memory(bytes).release();
}

void CudaDevice::free_host(void* memory) noexcept {
  cudaFreeHost(memory);
}

std::unique_ptr<PendingCopy> CudaDevice::start_copy_to_host(void* to, const void* from, std::size_t bytes) {
  return std::make_unique<StreamCopy>(ordinal_, stream(), copy_stream_.get(), to, from, bytes);
}

std::unique_ptr<RepeatedWork> CudaDevice::make_repeated_work() {
  return std::make_unique<RecordedGraph>(stream());
}

std::unique_ptr<TimeMark> CudaDevice::mark_time() {
  return std::make_unique<EventMark>(stream());
}

void CudaDevice::begin_range(const char* name) {
  nvtxRangePushA(name);
}

void CudaDevice::end_range() noexcept {
  nvtxRangePop();
}

}  // namespace cola::cuda

namespace cola {

std::unique_ptr<Device> make_cuda_device(int ordinal, const CudaOptions& options) {
  const int count = cuda_device_count();
  if (count == 0) {
    const std::string obstacle = find_cuda_obstacle();
    throw DeviceError("no GPU can be used here{}: set train.device: cpu, or look at nvidia-smi",
                      obstacle.empty() ? obstacle : fmt::format(" ({})", obstacle));
  }
  if (ordinal >= count) throw DeviceError("GPU {} was asked for, this node has {}", ordinal, count);
  return std::make_unique<cuda::CudaDevice>(ordinal, options);
}

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

std::string find_cuda_obstacle() {
  int count = 0, driver = 0;
  const cudaError_t result = cudaGetDeviceCount(&count);
  if (result == cudaSuccess || result == cudaErrorNoDevice) return {};
  cudaGetLastError();
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return {};
  return fmt::format("the driver, for CUDA {}.{}, says: {}", driver / 1000, driver % 1000 / 10,
                     cudaGetErrorString(result));
}

void select_cuda_device(int ordinal) {
  if (ordinal < cuda_device_count() && cudaSetDevice(ordinal) != cudaSuccess)
    cudaGetLastError();  // whoever computes on it will meet the error again
}

}  // namespace cola
