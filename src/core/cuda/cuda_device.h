// CudaDevice: one GPU. All kernels run on its stream in the order they are given; copies to host memory may
// run beside them on a second one.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "core/buffer.h"
#include "core/cuda/attention.h"
#include "core/cuda/context.h"
#include "core/cuda/handles.h"
#include "core/cuda/kernels.h"
#include "core/cuda/staged_upload.h"
#include "core/device.h"

namespace cola::cuda {

class CudaDevice final : public Device {
 public:
  CudaDevice(int ordinal, const CudaOptions& options);
  ~CudaDevice() override;

  /// For collectives that follow and precede kernels: the stream that all kernels run on.
  cudaStream_t stream() const { return stream_.get(); }
  int ordinal() const { return ordinal_; }
  /// Between these two, kernels are given that a collective may run beside.
  void begin_collective() { ++context_.collectives_beside; }
  void end_collective() { --context_.collectives_beside; }

  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::string name() const override;
  bool prefers_bfloat16() const override { return true; }

  void* allocate(std::size_t bytes) override;
  void free(void* memory) noexcept override;
  std::size_t memory_bytes() const override;
  std::size_t peak_allocated_bytes() const override { return peak_allocated_; }
  void reset_peak_allocated_bytes() override { peak_allocated_ = allocated_; }
  void fill_bytes(void* memory, int value, std::size_t bytes) override;
  void copy_from_host(void* device_memory, const void* host_memory, std::size_t bytes) override;
  void copy_to_host(void* host_memory, const void* device_memory, std::size_t bytes) override;
  void copy_on_device(void* destination, const void* source, std::size_t bytes) override;
  void synchronize() override;

  void* allocate_host(std::size_t bytes) override;
  void free_host(void* memory) noexcept override;
  std::unique_ptr<PendingCopy> start_copy_to_host(void* host_memory, const void* device_memory,
                                                  std::size_t bytes) override;
  std::unique_ptr<RepeatedWork> make_repeated_work() override;
  std::unique_ptr<TimeMark> mark_time() override;
  void begin_range(const char* name) override;
  void end_range() noexcept override;

  const MatmulKernels& matmul() const override { return matmul_; }
  const NormKernels& norm() const override { return norm_; }
  const RopeKernels& rope() const override { return rope_; }
  const AttentionKernels& attention() const override { return attention_; }
  const ActivationKernels& activation() const override { return activation_; }
  const FusedProductKernels& fused_products() const override { return fused_products_; }
  const EmbeddingKernels& embedding() const override { return embedding_; }
  const CrossEntropyKernels& cross_entropy() const override { return cross_entropy_; }
  const AdamWKernels& adamw() const override { return adamw_; }
  const ReduceKernels& reduce() const override { return reduce_; }

 private:
  Context make_context();

  int ordinal_;
  std::string model_;
  std::size_t allocated_ = 0, peak_allocated_ = 0;
  std::unordered_map<void*, std::size_t> sizes_;  // of every allocation
  Stream stream_, copy_stream_;
  BlasHandle blas_;
  Buffer blas_workspace_, scratch_;
  Context context_;
  StagedUpload upload_;

  CudaMatmul matmul_;
  CudaNorm norm_;
  CudaRope rope_;
  CudaAttention attention_;
  CudaActivation activation_;
  CudaFusedProducts fused_products_;
  CudaEmbedding embedding_;
  CudaCrossEntropy cross_entropy_;
  CudaAdamW adamw_;
  CudaReduce reduce_;
};

}  // namespace cola::cuda
