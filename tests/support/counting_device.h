// CountingDevice: another device, with every product and attention counted on the way to it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/device.h"
#include "core/kernels/attention.h"
#include "core/kernels/matmul.h"

namespace cola {

/// Floating-point operations, a multiplication and an addition being two.
struct OperationCount {
  double products = 0, attention = 0;
  double total() const { return products + attention; }
};

class CountingMatmul final : public MatmulKernels {
 public:
  CountingMatmul(const MatmulKernels& real, OperationCount& count) : real_(real), count_(count) {}
  void multiply(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                const Tensor& c, Accumulate accumulate) const override {
    const std::int64_t inner = a.dim(transpose_a == Transpose::no ? -1 : -2);
    count_.products += 2.0 * static_cast<double>(c.elements()) * static_cast<double>(inner);
    real_.multiply(a, transpose_a, b, transpose_b, c, accumulate);
  }
  std::int64_t preferred_tile_width() const override { return real_.preferred_tile_width(); }

 private:
  const MatmulKernels& real_;
  OperationCount& count_;
};

/// Counts the products of the definition: scores and their use forward, twice that backward. A tiled backward
/// pass computes the scores again: that is how the kernel works, not what the model asks for.
class CountingAttention final : public AttentionKernels {
 public:
  CountingAttention(const AttentionKernels& real, OperationCount& count) : real_(real), count_(count) {}
  void forward(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v,
               const Tensor& out, const Tensor& log_sum_exp) const override {
    count_.attention += 2 * product(shape);
    real_.forward(shape, q, k, v, out, log_sum_exp);
  }
  void backward(const AttentionShape& shape, const Tensor& q, const Tensor& k, const Tensor& v,
                const Tensor& out, const Tensor& log_sum_exp, const Tensor& dout, const Tensor& dq,
                const Tensor& dk, const Tensor& dv) const override {
    count_.attention += 4 * product(shape);
    real_.backward(shape, q, k, v, out, log_sum_exp, dout, dq, dk, dv);
  }

 private:
  // One product of the lower triangle, for all heads and sequences.
  static double product(const AttentionShape& shape) {
    const auto length = static_cast<double>(shape.sequence);
    return static_cast<double>(shape.batch * shape.heads * shape.head_dim) * length * (length + 1);
  }

  const AttentionKernels& real_;
  OperationCount& count_;
};

class CountingDevice final : public Device {
 public:
  explicit CountingDevice(Device& real)
      : real_(real), matmul_(real.matmul(), count_), attention_(real.attention(), count_) {}

  const OperationCount& count() const { return count_; }

  DeviceKind kind() const override { return real_.kind(); }
  std::string name() const override { return real_.name(); }
  bool prefers_bfloat16() const override { return real_.prefers_bfloat16(); }
  void* allocate(std::size_t bytes) override { return real_.allocate(bytes); }
  void free(void* memory) noexcept override { real_.free(memory); }
  std::size_t memory_bytes() const override { return real_.memory_bytes(); }
  std::size_t peak_allocated_bytes() const override { return real_.peak_allocated_bytes(); }
  void reset_peak_allocated_bytes() override { real_.reset_peak_allocated_bytes(); }
  void fill_bytes(void* memory, int value, std::size_t bytes) override {
    real_.fill_bytes(memory, value, bytes);
  }
  void copy_from_host(void* to, const void* from, std::size_t bytes) override {
    real_.copy_from_host(to, from, bytes);
  }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override {
    real_.copy_to_host(to, from, bytes);
  }
  void copy_on_device(void* to, const void* from, std::size_t bytes) override {
    real_.copy_on_device(to, from, bytes);
  }
  void synchronize() override { real_.synchronize(); }
  void* allocate_host(std::size_t bytes) override { return real_.allocate_host(bytes); }
  void free_host(void* memory) noexcept override { real_.free_host(memory); }
  std::unique_ptr<PendingCopy> start_copy_to_host(void* to, const void* from, std::size_t bytes) override {
    return real_.start_copy_to_host(to, from, bytes);
  }
  void repeat(std::uint64_t, const std::function<void()>& body) override { body(); }
  void begin_range(const char* name) override { real_.begin_range(name); }
  void end_range() noexcept override { real_.end_range(); }

  const MatmulKernels& matmul() const override { return matmul_; }
  const NormKernels& norm() const override { return real_.norm(); }
  const RopeKernels& rope() const override { return real_.rope(); }
  const AttentionKernels& attention() const override { return attention_; }
  const ActivationKernels& activation() const override { return real_.activation(); }
  const EmbeddingKernels& embedding() const override { return real_.embedding(); }
  const CrossEntropyKernels& cross_entropy() const override { return real_.cross_entropy(); }
  const AdamWKernels& adamw() const override { return real_.adamw(); }
  const ReduceKernels& reduce() const override { return real_.reduce(); }

 private:
  Device& real_;
  OperationCount count_;
  CountingMatmul matmul_;
  CountingAttention attention_;
};

}  // namespace cola
