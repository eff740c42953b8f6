// Device: where memory lies and kernels run. One Device a rank; it owns its memory routines and one
// implementation of every kernel family (core/kernels/*.h). Implementations: core/cpu, core/cuda.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace cola {

class ActivationKernels;
class AdamWKernels;
class AttentionKernels;
class CrossEntropyKernels;
class EmbeddingKernels;
class FusedProductKernels;
class MatmulKernels;
class NormKernels;
class ReduceKernels;
class RopeKernels;

enum class DeviceKind { cpu, cuda };

/// A copy to host memory that is under way beside the kernels. Destroying it waits.
class PendingCopy {
 public:
  virtual ~PendingCopy() = default;
  /// Whether the host memory holds everything; never blocks. Throws DeviceError if the copy failed.
  virtual bool done() = 0;
  /// Returns when it does: kernels given to the device from then on may overwrite what it read. Several
  /// threads may call it at once, beside the one that gives the device its work. Throws DeviceError.
  virtual void wait() = 0;
};

/// A moment in the work given to a device.
class TimeMark {
 public:
  virtual ~TimeMark() = default;
  /// Seconds of the device's time from an earlier mark of the same device to this one. Waits for this one.
  virtual double seconds_since(const TimeMark& earlier) const = 0;
};

/// Work that a device is given again and again: a GPU records it once and then starts all of it at a time.
class RepeatedWork {
 public:
  virtual ~RepeatedWork() = default;
  /// Runs `body`, which gives the device the same work on the same memory at every call, and neither waits
  /// for the device nor copies to or from the host. Here, where nothing is recorded, by itself every time.
  virtual void run(const std::function<void()>& body) { body(); }
};

class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceKind kind() const = 0;
  /// For people: processor or GPU model, and how many threads or multiprocessors are used.
  virtual std::string name() const = 0;
  /// Whether bf16 products are faster than fp32 ones here; `precision: auto` follows it.
  virtual bool prefers_bfloat16() const = 0;

  /// Memory on the device, aligned to 256 bytes. Throws DeviceError if there is not enough.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void free(void* memory) noexcept = 0;
  /// What can be allocated here in all, in bytes, after what the device's libraries take; 0 on the CPU, whose
  /// memory ranks and programs share.
  virtual std::size_t memory_bytes() const = 0;
  /// The most that was allocated here at any time, in bytes.
  virtual std::size_t peak_allocated_bytes() const = 0;
  /// Forgets that peak: from here on it counts from what is allocated now.
  virtual void reset_peak_allocated_bytes() = 0;
  /// Sets every byte. Ordered with the kernels, like the copies below, which are done with the host's memory
  /// when they return.
  virtual void fill_bytes(void* memory, int value, std::size_t bytes) = 0;
  virtual void copy_from_host(void* device_memory, const void* host_memory, std::size_t bytes) = 0;
  virtual void copy_to_host(void* host_memory, const void* device_memory, std::size_t bytes) = 0;
  virtual void copy_on_device(void* destination, const void* source, std::size_t bytes) = 0;
  /// Returns when all work given to the device so far is done.
  virtual void synchronize() = 0;

  /// Host memory that the device copies to at full speed (pinned, on a GPU), aligned to 256 bytes, or to a
  /// page where it is large: disks then take it as it lies. Throws DeviceError if there is not enough.
  virtual void* allocate_host(std::size_t bytes) = 0;
  virtual void free_host(void* memory) noexcept = 0;
  /// Starts to copy what the kernels given so far leave in `device_memory`, while kernels given later run.
  /// These must not write there until wait() or done() says so.
  virtual std::unique_ptr<PendingCopy> start_copy_to_host(void* host_memory, const void* device_memory,
                                                          std::size_t bytes) = 0;

  /// See RepeatedWork.
  virtual std::unique_ptr<RepeatedWork> make_repeated_work() = 0;

  /// The moment at which all work given so far is done and none of what follows.
  virtual std::unique_ptr<TimeMark> mark_time() = 0;

  /// A named stretch of time for profilers (NVTX); stretches nest. See ProfileRange.
  virtual void begin_range(const char* name) = 0;
  virtual void end_range() noexcept = 0;

  virtual const MatmulKernels& matmul() const = 0;
  virtual const NormKernels& norm() const = 0;
  virtual const RopeKernels& rope() const = 0;
  virtual const AttentionKernels& attention() const = 0;
  virtual const ActivationKernels& activation() const = 0;
  virtual const FusedProductKernels& fused_products() const = 0;
  virtual const EmbeddingKernels& embedding() const = 0;
  virtual const CrossEntropyKernels& cross_entropy() const = 0;
  virtual const AdamWKernels& adamw() const = 0;
  virtual const ReduceKernels& reduce() const = 0;
};

/// Names the time from its making to its end in profiles of the device.
class ProfileRange {
 public:
  ProfileRange(Device& device, const char* name) : device_(device) { device.begin_range(name); }
  ~ProfileRange() { device_.end_range(); }
  ProfileRange(const ProfileRange&) = delete;
  ProfileRange& operator=(const ProfileRange&) = delete;

 private:
  Device& device_;
};

/// Memory that a device takes for its kernels' own use when it is made, in bytes; it counts as allocated.
constexpr std::size_t workspace_bytes_of(DeviceKind kind) {
  return kind == DeviceKind::cuda ? std::size_t{96} << 20 : 0;
}

/// The CPU with `threads` OpenMP threads; 0 means all that this process may use.
std::unique_ptr<Device> make_cpu_device(int threads = 0);

/// Which attention kernels a GPU uses: whole heads where they fit shared memory, cuDNN's for long sequences
/// where it has them, flash attention otherwise; or one of them, and flash attention where it cannot.
enum class AttentionChoice { automatic, cudnn, flash, whole_heads };

struct CudaOptions {
  AttentionChoice attention = AttentionChoice::automatic;
  /// Matrix products of as many operations or more are timed at first use, each way that cuBLASLt suggests:
  /// the time that this takes (about 10 microseconds a try) is soon made up for.
  double smallest_timed_product = 4e9;
};

/// GPU number `ordinal` of this node. Throws DeviceError in a build without CUDA or on a machine without a
/// GPU.
std::unique_ptr<Device> make_cuda_device(int ordinal, const CudaOptions& options = {});

/// Number of usable GPUs on this node: 0 in a build without CUDA.
int cuda_device_count();

/// Why no GPU can be used although the node has a driver for one, such as a driver that is too old; empty
/// where nothing is wrong, or nothing to be had.
std::string find_cuda_obstacle();

/// Makes GPU number `ordinal` this thread's own, ahead of a library that would take the first one: an MPI
/// that knows CUDA. Does nothing where there is no such GPU, or it cannot be used.
void select_cuda_device(int ordinal);

}  // namespace cola
