#include "dist/nccl_communicator.h"

#include <nccl.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/cuda/check.h"
#include "core/cuda/cuda_device.h"
#include "core/error.h"
#include "core/gpu_facts.h"
#include "core/host.h"
#include "dist/even_chunk.h"
#include "dist/forwarding_communicator.h"
#include "dist/placement/environment_variables.h"
#include "dist/placement/gpu_place.h"

namespace cola {

namespace {

/// Throws Error naming the operation, with NCCL's own explanation, unless `result` is success.
void check_nccl(ncclResult_t result, const char* operation, ncclComm_t handle) {
  if (result == ncclSuccess) return;
  throw Error("{} failed in NCCL: {}: {} (NCCL_DEBUG=INFO says more)", operation, ncclGetErrorString(result),
              ncclGetLastError(handle));
}

cuda::CudaDevice& gpu_of(Device& device) {
  auto* gpu = dynamic_cast<cuda::CudaDevice*>(&device);
  if (!gpu) throw Error("NCCL was asked to work on {}, which is no GPU", device.name());
  return *gpu;
}

std::string place_of(const cuda::CudaDevice& gpu) {
  const std::string address = gpu_address(gpu.ordinal());
  if (address.empty()) throw DeviceError("CUDA does not say at which PCI address GPU {} is", gpu.ordinal());
  return gpu_place(address, host_name());
}

/// Ahead of kernels wherever multiprocessors become free: a rank that is late with a collective holds up all.
cuda::Stream make_urgent_stream(const cuda::CudaDevice& gpu) {
  int least = 0, greatest = 0;
  cuda::check(cudaSetDevice(gpu.ordinal()), "choosing a GPU");
  cuda::check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "asking for priorities of streams");
  cudaStream_t stream = nullptr;
  cuda::check(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, greatest),
              "making a stream for collectives");
  return cuda::Stream(stream);
}

/// A collective on its way: ready once the kernels before it are done.
struct Flight {
  const char* operation;
  std::uint64_t number;
  cuda::Event ready = cuda::make_event(), finished = cuda::make_event();
};

bool has_passed(const cuda::Event& event, const char* operation) {
  const cudaError_t state = cudaEventQuery(event.get());
  if (state == cudaErrorNotReady) return false;
  cuda::check(state, operation);
  return true;
}

class NcclCommunicator;

class PendingNccl final : public PendingCollective {
 public:
  PendingNccl(NcclCommunicator& communicator, cuda::CudaDevice& device, std::shared_ptr<const Flight> flight)
      : communicator_(communicator), device_(device), flight_(std::move(flight)) {
    device_.begin_collective();
  }
  PendingNccl(const PendingNccl&) = delete;
  PendingNccl& operator=(const PendingNccl&) = delete;
  ~PendingNccl() override { make_kernels_wait(); }

  void wait() override { cuda::check(make_kernels_wait(), flight_->operation); }
  bool progress() override;

 private:
  // Kernels given from here on find it done.
  cudaError_t make_kernels_wait() {
    if (std::exchange(is_behind_, true)) return cudaSuccess;
    device_.end_collective();
    return cudaStreamWaitEvent(device_.stream(), flight_->finished.get(), 0);
  }

  NcclCommunicator& communicator_;
  cuda::CudaDevice& device_;
  std::shared_ptr<const Flight> flight_;
  bool is_behind_ = false;
};

class NcclCommunicator final : public ForwardingCommunicator, private BackgroundCollectives {
 public:
  /// `host`: a reference, or a pointer that is taken over.
  template <typename Host>
  NcclCommunicator(cuda::CudaDevice& device, Host&& host, Watchdog& watchdog)
      : ForwardingCommunicator(std::forward<Host>(host)),
        device_(device),
        watchdog_(watchdog),
        stream_(make_urgent_stream(device)) {
    join_ranks();
    watchdog_.add(*this);
  }
  ~NcclCommunicator() override;

  std::string transport() const override;

  std::unique_ptr<PendingCollective> start_reduce_scatter(std::span<float> values,
                                                          std::span<float> sum) override;
  std::unique_ptr<PendingCollective> start_all_reduce(std::span<float> values) override;
  std::unique_ptr<PendingCollective> start_all_gather(std::span<std::byte> bytes) override;

  std::unique_ptr<Communicator> split(int color) override {
    return std::make_unique<NcclCommunicator>(device_, host().split(color), watchdog_);
  }

  /// Throws Error if a collective has failed since it was started.
  void require_no_failure() const;

 private:
  void join_ranks();

  /// Gives the collective to the stream, behind the kernels given so far.
  template <typename Enqueue>
  std::unique_ptr<PendingCollective> start(const char* operation, Enqueue&& enqueue);

  std::optional<Operation> under_way() override;
  void abandon() noexcept override;
  /// For the thread that starts collectives.
  void drop_finished();

  cuda::CudaDevice& device_;
  Watchdog& watchdog_;
  cuda::Stream stream_;
  ncclComm_t handle_ = nullptr;
  std::uint64_t started_ = 0;
  std::mutex mutex_;
  std::deque<std::shared_ptr<const Flight>> flights_;  // unfinished when the last was started, oldest first
};

bool PendingNccl::progress() {
  communicator_.require_no_failure();
  return has_passed(flight_->finished, flight_->operation);
}

// Rank 0 makes the name under which all meet. If it cannot, all ranks learn so.
void NcclCommunicator::join_ranks() {
  const Watchdog::Inside inside(watchdog_, "the start of NCCL");
  ncclUniqueId id{};
  std::string error;
  if (rank() == 0) {
    const ncclResult_t result = ncclGetUniqueId(&id);
    if (result != ncclSuccess)
      error = fmt::format("NCCL cannot start: {}: {}", ncclGetErrorString(result), ncclGetLastError(nullptr));
  }
  error = host().all_gather(error).front();
  if (!error.empty()) throw Error("{}", error);
  host().broadcast(std::as_writable_bytes(std::span(id.internal)), 0);
  check_nccl(ncclCommInitRank(&handle_, size(), id, rank()), "joining the ranks", nullptr);
}

// A rank that unwinds from an error must not wait for the others.
NcclCommunicator::~NcclCommunicator() {
  watchdog_.remove(*this);
  if (std::uncaught_exceptions() > 0)
    ncclCommAbort(handle_);
  else
    ncclCommDestroy(handle_);
}

std::string NcclCommunicator::transport() const {
  return fmt::format("NCCL {} and {}", nccl_version(), host().transport());
}

void NcclCommunicator::require_no_failure() const {
  ncclResult_t state = ncclSuccess;
  check_nccl(ncclCommGetAsyncError(handle_, &state), "asking NCCL for errors", handle_);
  check_nccl(state, "a collective", handle_);
}

template <typename Enqueue>
std::unique_ptr<PendingCollective> NcclCommunicator::start(const char* operation, Enqueue&& enqueue) {
  const Watchdog::Inside inside(watchdog_, operation);  // the first of a kind may wait for other ranks
  const auto flight = std::make_shared<const Flight>(operation, ++started_);
  cuda::check(cudaEventRecord(flight->ready.get(), device_.stream()), operation);
  cuda::check(cudaStreamWaitEvent(stream_.get(), flight->ready.get(), 0), operation);
  check_nccl(enqueue(), operation, handle_);
  cuda::check(cudaEventRecord(flight->finished.get(), stream_.get()), operation);
  drop_finished();
  const std::lock_guard lock(mutex_);
  flights_.push_back(flight);
  return std::make_unique<PendingNccl>(*this, device_, flight);
}

std::unique_ptr<PendingCollective> NcclCommunicator::start_reduce_scatter(std::span<float> values,
                                                                          std::span<float> sum) {
  const std::size_t chunk = even_chunk(values.size(), size(), "a reduce-scatter");
  if (sum.size() != chunk)
    throw Error("a reduce-scatter of chunks of {} into {} elements", chunk, sum.size());
  return start("the reduce-scatter of gradients", [&] {
    return ncclReduceScatter(values.data(), sum.data(), chunk, ncclFloat, ncclSum, handle_, stream_.get());
  });
}

std::unique_ptr<PendingCollective> NcclCommunicator::start_all_reduce(std::span<float> values) {
  return start("the all-reduce of gradients", [&] {
    return ncclAllReduce(values.data(), values.data(), values.size(), ncclFloat, ncclSum, handle_,
                         stream_.get());
  });
}

std::unique_ptr<PendingCollective> NcclCommunicator::start_all_gather(std::span<std::byte> bytes) {
  const std::size_t chunk = even_chunk(bytes.size(), size(), "an all-gather");
  const std::byte* own = bytes.data() + static_cast<std::size_t>(rank()) * chunk;
  return start("the all-gather of weights",
               [&] { return ncclAllGather(own, bytes.data(), chunk, ncclChar, handle_, stream_.get()); });
}

// Destroying an event waits for any thread that waits for room on the GPU. The watchdog must not, neither by
// doing it nor for the mutex.
void NcclCommunicator::drop_finished() {
  std::deque<std::shared_ptr<const Flight>> finished;  // destroyed after the mutex is free
  const std::lock_guard lock(mutex_);
  while (!flights_.empty() && has_passed(flights_.front()->finished, flights_.front()->operation)) {
    finished.push_back(std::move(flights_.front()));
    flights_.pop_front();
  }
}

// Collectives run one after the other: only the oldest can wait for other ranks, once its own kernels are
// done.
std::optional<BackgroundCollectives::Operation> NcclCommunicator::under_way() {
  cuda::check(cudaSetDevice(device_.ordinal()), "choosing a GPU");
  require_no_failure();
  const std::lock_guard lock(mutex_);
  const auto oldest = std::ranges::find_if(
      flights_, [](const auto& flight) { return !has_passed(flight->finished, flight->operation); });
  if (oldest == flights_.end() || !has_passed((*oldest)->ready, (*oldest)->operation)) return {};
  return Operation{(*oldest)->operation, (*oldest)->number};
}

void NcclCommunicator::abandon() noexcept {
  ncclCommAbort(handle_);
}

}  // namespace

std::string nccl_version() {
  int version = 0;  // 10000 * major + 100 * minor + patch
  check_nccl(ncclGetVersion(&version), "asking for NCCL's version", nullptr);
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

std::string find_nccl_obstacle(Device& device, Communicator& host) {
  const std::vector<std::string> places = host.all_gather(place_of(gpu_of(device)));
  if (const std::string uneven = find_uneven_sharing(places); !uneven.empty())
    throw AgreedError("{}", uneven);
  const std::string shared = find_shared_gpu(places);
  return shared.empty() ? shared : shared + ", which NCCL does not allow";
}

std::unique_ptr<Communicator> make_nccl_communicator(Device& device, Communicator& host, Watchdog& watchdog) {
  if (const std::string obstacle = find_nccl_obstacle(device, host); !obstacle.empty())
    throw UsageError("{}: start as many ranks a node as it has GPUs, or set parallel.collectives: mpi",
                     obstacle);
  if (environment_variable("NCCL_COMM_BLOCKING") == "0")
    throw UsageError("NCCL_COMM_BLOCKING=0 lets NCCL's calls return before they are done: unset it");
  return std::make_unique<NcclCommunicator>(gpu_of(device), host, watchdog);
}

}  // namespace cola
