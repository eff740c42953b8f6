// Device: where memory lies and kernels run. One Device a rank; it owns its memory routines and one
// implementation of every kernel family (core/kernels/*.h). Implementations: core/cpu, core/cuda.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace cola {

class ActivationKernels;
class AdamWKernels;
class AttentionKernels;
class CrossEntropyKernels;
class EmbeddingKernels;
class MatmulKernels;
class NormKernels;
class ReduceKernels;
class RopeKernels;

enum class DeviceKind { cpu, cuda };

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
  /// The most that was allocated here at any time, in bytes.
  virtual std::size_t peak_allocated_bytes() const = 0;
  /// Forgets that peak: from here on it counts from what is allocated now.
  virtual void reset_peak_allocated_bytes() = 0;
  /// Sets every byte. Ordered with the kernels, like the copies below.
  virtual void fill_bytes(void* memory, int value, std::size_t bytes) = 0;
  virtual void copy_from_host(void* device_memory, const void* host_memory, std::size_t bytes) = 0;
  virtual void copy_to_host(void* host_memory, const void* device_memory, std::size_t bytes) = 0;
  virtual void copy_on_device(void* destination, const void* source, std::size_t bytes) = 0;
  /// Returns when all work given to the device so far is done.
  virtual void synchronize() = 0;

  virtual const MatmulKernels& matmul() const = 0;
  virtual const NormKernels& norm() const = 0;
  virtual const RopeKernels& rope() const = 0;
  virtual const AttentionKernels& attention() const = 0;
  virtual const ActivationKernels& activation() const = 0;
  virtual const EmbeddingKernels& embedding() const = 0;
  virtual const CrossEntropyKernels& cross_entropy() const = 0;
  virtual const AdamWKernels& adamw() const = 0;
  virtual const ReduceKernels& reduce() const = 0;
};

/// The CPU with `threads` OpenMP threads; 0 means all that this process may use.
std::unique_ptr<Device> make_cpu_device(int threads = 0);

/// GPU number `ordinal` of this node. Throws DeviceError in a build without CUDA or on a machine without a
/// GPU.
std::unique_ptr<Device> make_cuda_device(int ordinal);

/// Number of usable GPUs on this node: 0 in a build without CUDA.
int cuda_device_count();

}  // namespace cola
