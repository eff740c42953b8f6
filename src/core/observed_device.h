// ObservedDevice: another device whose kernel calls are timed and counted, for seeing where a training step's
// time goes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/device.h"

namespace cola {

/// One kernel call: what it was, and the work that its arguments make necessary.
struct KernelCall {
  const char* name;
  std::string shape;  // of a matrix product: who is multiplied by whom; empty otherwise
  double operations;  // floating-point, of matrix products and attention; 0 otherwise
  double bytes;       // of all tensors it was given: what it moves at least
  std::unique_ptr<TimeMark> begin, end;
};

class ObservedDevice final : public Device {
 public:
  /// `device` outlives this one; nothing is observed before start().
  explicit ObservedDevice(Device& device);
  ~ObservedDevice() override;

  /// From here on, until stop(), every kernel call is noted.
  void start() { observing_ = true; }
  /// Waits for the device and hands over what was noted.
  std::vector<KernelCall> stop();

  DeviceKind kind() const override { return device_.kind(); }
  std::string name() const override { return device_.name(); }
  bool prefers_bfloat16() const override { return device_.prefers_bfloat16(); }
  void* allocate(std::size_t bytes) override { return device_.allocate(bytes); }
  void free(void* memory) noexcept override { device_.free(memory); }
  std::size_t memory_bytes() const override { return device_.memory_bytes(); }
  std::size_t peak_allocated_bytes() const override { return device_.peak_allocated_bytes(); }
  void reset_peak_allocated_bytes() override { device_.reset_peak_allocated_bytes(); }
  void fill_bytes(void* memory, int value, std::size_t bytes) override;
  void copy_from_host(void* to, const void* from, std::size_t bytes) override;
  void copy_to_host(void* to, const void* from, std::size_t bytes) override;
  void copy_on_device(void* to, const void* from, std::size_t bytes) override;
  void synchronize() override { device_.synchronize(); }
  void* allocate_host(std::size_t bytes) override { return device_.allocate_host(bytes); }
  void free_host(void* memory) noexcept override { device_.free_host(memory); }
  std::unique_ptr<PendingCopy> start_copy_to_host(void* to, const void* from, std::size_t bytes) override {
    return device_.start_copy_to_host(to, from, bytes);
  }
  /// Never recorded: a recording's kernels cannot be told apart.
  std::unique_ptr<RepeatedWork> make_repeated_work() override;
  std::unique_ptr<TimeMark> mark_time() override { return device_.mark_time(); }
  void begin_range(const char* range) override { device_.begin_range(range); }
  void end_range() noexcept override { device_.end_range(); }

  const MatmulKernels& matmul() const override;
  const NormKernels& norm() const override;
  const RopeKernels& rope() const override;
  const AttentionKernels& attention() const override;
  const ActivationKernels& activation() const override;
  const FusedProductKernels& fused_products() const override;
  const EmbeddingKernels& embedding() const override;
  const CrossEntropyKernels& cross_entropy() const override;
  const AdamWKernels& adamw() const override;
  const ReduceKernels& reduce() const override;

 private:
  friend class Observer;
  struct Families;

  Device& device_;
  bool observing_ = false;
  std::vector<KernelCall> calls_;
  std::unique_ptr<Families> families_;
};

}  // namespace cola
