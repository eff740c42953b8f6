// The CPU as a device: aligned memory, and the kernels of this folder.
#include <malloc.h>
#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/cpu/copy_thread.h"
#include "core/cpu/kernels.h"
#include "core/device.h"
#include "core/divide_up.h"
#include "core/error.h"
#include "core/host.h"
#include "core/separate_products.h"

namespace cola {

namespace {

// The kernels are compiled for one processor type; on an older one the first would die of an illegal
// instruction.
void require_compiled_instructions() {
#if defined(__AVX512F__)
  if (!__builtin_cpu_supports("avx512f"))
    throw DeviceError(
        "this program was compiled for AVX-512, which this processor lacks: configure with "
        "-DCOLA_CPU_TARGET=x86-64-v3");
#elif defined(__AVX2__)
  if (!__builtin_cpu_supports("avx2"))
    throw DeviceError(
        "this program was compiled for AVX2, which this processor lacks: configure with "
        "-DCOLA_CPU_TARGET=x86-64");
#endif
}

constexpr std::size_t tensor_alignment = 256, page_bytes = 4096;

void* allocate_aligned(std::size_t bytes, std::size_t alignment) {
  void* memory = std::aligned_alloc(alignment, divide_up(bytes, alignment) * alignment);
  if (!memory) throw DeviceError("out of host memory: {} bytes were asked for", bytes);
  return memory;
}

// Kernels are done when they return.
class ClockMark final : public TimeMark {
 public:
  double seconds_since(const TimeMark& earlier) const override {
    return std::chrono::duration<double>(time_ - static_cast<const ClockMark&>(earlier).time_).count();
  }

 private:
  std::chrono::steady_clock::time_point time_ = std::chrono::steady_clock::now();
};

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(int threads) : threads_(threads > 0 ? threads : usable_cores()) {
    require_compiled_instructions();
    omp_set_num_threads(threads_);
  }

  DeviceKind kind() const override { return DeviceKind::cpu; }
  std::string name() const override {
    return processor_name() + ", " + std::to_string(threads_) + (threads_ == 1 ? " thread" : " threads");
  }
  // Asked of this processor, not of the one the program was compiled for: products are compiled as they run.
  bool prefers_bfloat16() const override {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
  }

  void* allocate(std::size_t bytes) override {
    void* memory = allocate_aligned(bytes, tensor_alignment);
    allocated_ += malloc_usable_size(memory);
    peak_allocated_ = std::max(peak_allocated_, allocated_);
    return memory;
  }
  void free(void* memory) noexcept override {
    allocated_ -= malloc_usable_size(memory);
    std::free(memory);
  }
  std::size_t memory_bytes() const override {
    return 0;
  }
  std::size_t peak_allocated_bytes() const override {
    return peak_allocated_;
  }
  void reset_peak_allocated_bytes() override {
    peak_allocated_ = allocated_;
  }
  void fill_bytes(void* memory, int value, std::size_t bytes) override {
    // By all threads: one alone does not reach the memory's bandwidth, and the first touch decides near which
    // socket a page lies.
    constexpr std::size_t piece = std::size_t{1} << 20;
#pragma omp parallel for schedule(static)
    for (std::size_t first = 0; first < bytes; first += piece)
      std::memset(static_cast<std::byte*>(memory) + first, value, std::min(piece, bytes - first));
  }
  // An empty tensor may lie nowhere, which memcpy must not be told.
  void copy_from_host(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void copy_on_device(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memmove(to, from, bytes);
  }
  void synchronize() override {}

  void* allocate_host(std::size_t bytes) override {
    void* memory = allocate_aligned(bytes, page_bytes);
    ::madvise(memory, bytes, MADV_HUGEPAGE);  // copies and checksums of it are quicker
    return memory;
  }
  void free_host(void* memory) noexcept override {
    std::free(memory);
  }
  std::unique_ptr<PendingCopy> start_copy_to_host(void* to, const void* from, std::size_t bytes) override {
    return copy_thread_.start(to, from, bytes);
  }

  std::unique_ptr<RepeatedWork> make_repeated_work() override {
    return std::make_unique<RepeatedWork>();
  }
  std::unique_ptr<TimeMark> mark_time() override {
    return std::make_unique<ClockMark>();
  }
  void begin_range(const char*) override {}
  void end_range() noexcept override {}

  const MatmulKernels& matmul() const override {
    return matmul_;
  }
  const NormKernels& norm() const override {
    return norm_;
  }
  const RopeKernels& rope() const override {
    return rope_;
  }
  const AttentionKernels& attention() const override {
    return attention_;
  }
  const ActivationKernels& activation() const override {
    return activation_;
  }
  const FusedProductKernels& fused_products() const override {
    return fused_products_;
  }
  const EmbeddingKernels& embedding() const override {
    return embedding_;
  }
  const CrossEntropyKernels& cross_entropy() const override {
    return cross_entropy_;
  }
  const AdamWKernels& adamw() const override {
    return adamw_;
  }
  const ReduceKernels& reduce() const override {
    return reduce_;
  }

 private:
  int threads_;
  cpu::CopyThread copy_thread_;
  std::size_t allocated_ = 0, peak_allocated_ = 0;
  cpu::CpuMatmul matmul_;
  cpu::CpuNorm norm_;
  cpu::CpuRope rope_;
  cpu::CpuAttention attention_;
  cpu::CpuActivation activation_;
  SeparateProducts fused_products_{matmul_, activation_, rope_, norm_};
  cpu::CpuEmbedding embedding_;
  cpu::CpuCrossEntropy cross_entropy_;
  cpu::CpuAdamW adamw_;
  cpu::CpuReduce reduce_;
};

}  // namespace

std::unique_ptr<Device> make_cpu_device(int threads) {
  return std::make_unique<CpuDevice>(threads);
}

}  // namespace cola
