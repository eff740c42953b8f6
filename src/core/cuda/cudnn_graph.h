// cuDNN's graph interface: graphs of operations on tensors with four dimensions, and the plans that run them.
#pragma once

#include <cudnn_graph.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/cuda/handles.h"

namespace cola::cuda {

/// Throws DeviceError "OPERATION failed in cuDNN: STATUS (EXPLANATION)" unless `status` is success.
void check(cudnnStatus_t status, const char* operation);

using CudnnHandle = std::unique_ptr<cudnnContext, GiveBack<cudnnDestroy>>;

/// One of cuDNN's descriptors: its attributes are set, then it is finished and only read. Everything throws
/// DeviceError.
class CudnnDescriptor {
 public:
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type);

  template <typename T>
  void set(cudnnBackendAttributeName_t name, std::span<const T> values) {
    set(name, type_of(T{}), values.size(), values.data());
  }
  template <typename T>
  void set(cudnnBackendAttributeName_t name, const T& value) {
    set(name, std::span<const T>(&value, 1));
  }
  void attach(cudnnBackendAttributeName_t name, const CudnnDescriptor& other);
  void attach(cudnnBackendAttributeName_t name, std::span<const CudnnDescriptor> others);
  void finish(const char* operation);

  /// Reads at most values.size() integers or enumerators; returns how many there are.
  template <typename T>
  std::size_t read(cudnnBackendAttributeName_t name, std::span<T> values) const {
    return read(name, type_of(T{}), values.size(), values.data());
  }
  /// Reads at most `most` descriptors of `type`, of which cuDNN fills in as many as there are.
  std::vector<CudnnDescriptor> read(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type,
                                    std::size_t most) const;

  cudnnBackendDescriptor_t get() const { return descriptor_.get(); }

 private:
  static constexpr auto type_of(bool) { return CUDNN_TYPE_BOOLEAN; }
  static constexpr auto type_of(float) { return CUDNN_TYPE_FLOAT; }
  static constexpr auto type_of(std::int64_t) { return CUDNN_TYPE_INT64; }
  static constexpr auto type_of(void*) { return CUDNN_TYPE_VOID_PTR; }
  static constexpr auto type_of(cudnnHandle_t) { return CUDNN_TYPE_HANDLE; }
  static constexpr auto type_of(cudnnDataType_t) { return CUDNN_TYPE_DATA_TYPE; }
  static constexpr auto type_of(cudnnPointwiseMode_t) { return CUDNN_TYPE_POINTWISE_MODE; }
  static constexpr auto type_of(cudnnReduceTensorOp_t) { return CUDNN_TYPE_REDUCTION_OPERATOR_TYPE; }
  static constexpr auto type_of(cudnnBackendHeurMode_t) { return CUDNN_TYPE_HEUR_MODE; }
  static constexpr auto type_of(cudnnBackendNumericalNote_t) { return CUDNN_TYPE_NUMERICAL_NOTE; }
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::size_t count,
           const void* values);
  std::size_t read(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::size_t count,
                   void* values) const;

  std::unique_ptr<void, GiveBack<cudnnBackendDestroyDescriptor>> descriptor_;
};

/// Sizes of a tensor and how many elements apart neighbours lie along each dimension.
struct CudnnShape {
  std::array<std::int64_t, 4> sizes, strides;
};

/// A tensor of a graph. The number also tells a plan which tensor a pointer belongs to.
struct CudnnTensor {
  std::int64_t number = 0;
};

/// The addresses of a graph's tensors in memory, for one run.
struct CudnnBinding {
  CudnnTensor tensor;
  void* address;
};

class CudnnPlan;

/// A graph under construction. Operations write to their last argument and return it; arithmetic is done in
/// fp32. Everything throws DeviceError.
class CudnnGraph {
 public:
  /// A tensor in device memory, aligned to 16 bytes.
  CudnnTensor in_memory(const CudnnShape& shape, cudnnDataType_t type);
  /// A tensor that only exists while the plan runs.
  CudnnTensor passing(const CudnnShape& shape, cudnnDataType_t type = CUDNN_DATA_FLOAT);
  CudnnTensor constant(float value);

  /// result = a b, the last two dimensions being the matrices'.
  CudnnTensor multiply(CudnnTensor a, CudnnTensor b, CudnnTensor result);
  /// Element by element. A selection takes the second operand where the third is false.
  CudnnTensor apply(cudnnPointwiseMode_t mode, std::initializer_list<CudnnTensor> operands,
                    CudnnTensor result);
  /// Every element's index along `axis`; `like` gives the shape.
  CudnnTensor index_along(std::int64_t axis, CudnnTensor like, CudnnTensor result);
  /// Along the dimensions in which the result is smaller than the operand.
  CudnnTensor reduce(cudnnReduceTensorOp_t kind, CudnnTensor operand, CudnnTensor result);
  /// The operand's elements under the result's sizes and strides.
  CudnnTensor reshape(CudnnTensor operand, CudnnTensor result);

  /// The first plan of cuDNN's heuristics that is not marked as unrepeatable and needs at most
  /// `workspace_limit` bytes; the graph goes into it. Nothing if all need more. Throws DeviceError with
  /// cuDNN's words if there is no plan at all.
  std::optional<CudnnPlan> compile(cudnnHandle_t handle, std::size_t workspace_limit);

 private:
  friend class CudnnPlan;
  struct Constant {
    CudnnTensor tensor;
    float value;
  };
  CudnnTensor add(const CudnnShape& shape, cudnnDataType_t type, bool in_memory, bool by_value);
  CudnnTensor apply(CudnnDescriptor mode, std::initializer_list<CudnnTensor> operands, CudnnTensor result);
  const CudnnDescriptor& at(CudnnTensor tensor) const {
    return tensors_[static_cast<std::size_t>(tensor.number) - 1];
  }
  std::vector<CudnnDescriptor> find_configurations(cudnnHandle_t handle);

  std::vector<CudnnDescriptor> tensors_, operations_;
  std::vector<CudnnDescriptor> parts_;  // what the operations refer to, and the finished graph
  std::vector<cudnnDataType_t> types_;  // of the tensors
  std::vector<Constant> constants_;
};

/// A graph, compiled for the GPU.
class CudnnPlan {
 public:
  /// Gives the work to the handle's stream. `workspace` holds as many bytes as the plan was allowed. Throws
  /// DeviceError naming `operation`.
  void run(cudnnHandle_t handle, std::span<const CudnnBinding> tensors, void* workspace,
           const char* operation) const;

 private:
  friend class CudnnGraph;
  CudnnPlan(CudnnDescriptor plan, CudnnDescriptor configuration, CudnnGraph graph)
      : graph_(std::move(graph)), configuration_(std::move(configuration)), plan_(std::move(plan)) {}

  CudnnGraph graph_;  // what the plan was made of, which it may refer to
  CudnnDescriptor configuration_, plan_;
};

}  // namespace cola::cuda
