#include "core/cuda/cudnn_graph.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.h"

namespace cola::cuda {

void check(cudnnStatus_t status, const char* operation) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char explanation[512] = "";
  cudnnGetLastErrorString(explanation, sizeof(explanation));
  throw DeviceError("{} failed in cuDNN: {} ({})", operation, cudnnGetErrorString(status), explanation);
}

CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t made = nullptr;
  check(cudnnBackendCreateDescriptor(type, &made), "making a descriptor");
  descriptor_.reset(made);
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                          std::size_t count, const void* values) {
  check(cudnnBackendSetAttribute(get(), name, type, static_cast<std::int64_t>(count), values),
        "setting an attribute");
}

void CudnnDescriptor::attach(cudnnBackendAttributeName_t name, const CudnnDescriptor& other) {
  attach(name, std::span(&other, 1));
}

void CudnnDescriptor::attach(cudnnBackendAttributeName_t name, std::span<const CudnnDescriptor> others) {
  std::vector<cudnnBackendDescriptor_t> descriptors;
  for (const CudnnDescriptor& other : others) descriptors.push_back(other.get());
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, descriptors.size(), descriptors.data());
}

void CudnnDescriptor::finish(const char* operation) {
  check(cudnnBackendFinalize(get()), operation);
}

std::size_t CudnnDescriptor::read(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                  std::size_t count, void* values) const {
  std::int64_t there = 0;
  check(cudnnBackendGetAttribute(get(), name, type, static_cast<std::int64_t>(count), &there, values),
        "reading an attribute");
  return static_cast<std::size_t>(there);
}

std::vector<CudnnDescriptor> CudnnDescriptor::read(cudnnBackendAttributeName_t name,
                                                   cudnnBackendDescriptorType_t type,
                                                   std::size_t most) const {
  std::vector<CudnnDescriptor> found;
  std::vector<cudnnBackendDescriptor_t> descriptors;
  for (std::size_t i = 0; i < most; ++i) descriptors.push_back(found.emplace_back(type).get());
  const std::size_t there = read(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, descriptors.data());
  found.erase(found.begin() + static_cast<std::ptrdiff_t>(std::min(there, most)), found.end());
  return found;
}

namespace {

// cuDNN marks the engines that add up in an order that changes from run to run.
bool repeats(const CudnnDescriptor& configuration) {
  const auto engine = configuration.read(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
  std::vector<cudnnBackendNumericalNote_t> notes(CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
  notes.resize(engine.at(0).read(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, std::span(notes)));
  return std::find(notes.begin(), notes.end(), CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) == notes.end();
}

std::size_t workspace_of_plan(const CudnnDescriptor& plan) {
  std::int64_t bytes = 0;
  plan.read(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, std::span(&bytes, 1));
  return static_cast<std::size_t>(bytes);
}

// What is known before the plan is compiled, which takes a while; 0 where an engine does not say.
std::size_t expected_workspace(const CudnnDescriptor& configuration) try {
  std::int64_t bytes = 0;
  configuration.read(CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE, std::span(&bytes, 1));
  return static_cast<std::size_t>(bytes);
} catch (const DeviceError&) {
  return 0;
}

}  // namespace

void CudnnPlan::run(cudnnHandle_t handle, std::span<const CudnnBinding> tensors, void* workspace,
                    const char* operation) const {
  std::vector<std::int64_t> numbers;
  std::vector<void*> addresses;
  for (const CudnnBinding& binding : tensors) {
    numbers.push_back(binding.tensor.number);
    addresses.push_back(binding.address);
  }
  for (const CudnnGraph::Constant& constant : graph_.constants_) {
    numbers.push_back(constant.tensor.number);
    addresses.push_back(const_cast<float*>(&constant.value));  // in host memory, and only read
  }
  CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::span<const std::int64_t>(numbers));
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, std::span<void* const>(addresses));
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace);
  pack.finish(operation);
  check(cudnnBackendExecute(handle, plan_.get(), pack.get()), operation);
}

CudnnTensor CudnnGraph::add(const CudnnShape& shape, cudnnDataType_t type, bool in_memory, bool by_value) {
  constexpr std::int64_t alignment = 16;
  const CudnnTensor tensor{static_cast<std::int64_t>(tensors_.size()) + 1};
  CudnnDescriptor descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
  descriptor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::span<const std::int64_t>(shape.sizes));
  descriptor.set(CUDNN_ATTR_TENSOR_STRIDES, std::span<const std::int64_t>(shape.strides));
  descriptor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, tensor.number);
  descriptor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, alignment);
  descriptor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, !in_memory);
  descriptor.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, by_value);
  descriptor.finish("describing a tensor");
  tensors_.push_back(std::move(descriptor));
  types_.push_back(type);
  return tensor;
}

CudnnTensor CudnnGraph::in_memory(const CudnnShape& shape, cudnnDataType_t type) {
  return add(shape, type, true, false);
}

CudnnTensor CudnnGraph::passing(const CudnnShape& shape, cudnnDataType_t type) {
  return add(shape, type, false, false);
}

CudnnTensor CudnnGraph::constant(float value) {
  const CudnnTensor tensor = add({{1, 1, 1, 1}, {1, 1, 1, 1}}, CUDNN_DATA_FLOAT, true, true);
  constants_.push_back({tensor, value});
  return tensor;
}

CudnnTensor CudnnGraph::multiply(CudnnTensor a, CudnnTensor b, CudnnTensor result) {
  CudnnDescriptor& mode = parts_.emplace_back(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  mode.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT);
  mode.finish("describing a product");
  CudnnDescriptor& operation = operations_.emplace_back(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
  operation.attach(CUDNN_ATTR_OPERATION_MATMUL_ADESC, at(a));
  operation.attach(CUDNN_ATTR_OPERATION_MATMUL_BDESC, at(b));
  operation.attach(CUDNN_ATTR_OPERATION_MATMUL_CDESC, at(result));
  operation.attach(CUDNN_ATTR_OPERATION_MATMUL_DESC, mode);
  operation.finish("describing a product");
  return result;
}

CudnnTensor CudnnGraph::apply(cudnnPointwiseMode_t mode, std::initializer_list<CudnnTensor> operands,
                              CudnnTensor result) {
  const bool yes_or_no = types_[static_cast<std::size_t>(result.number) - 1] == CUDNN_DATA_BOOLEAN;
  CudnnDescriptor descriptor(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_POINTWISE_MODE, mode);
  descriptor.set(CUDNN_ATTR_POINTWISE_MATH_PREC, yes_or_no ? CUDNN_DATA_BOOLEAN : CUDNN_DATA_FLOAT);
  return apply(std::move(descriptor), operands, result);
}

CudnnTensor CudnnGraph::index_along(std::int64_t axis, CudnnTensor like, CudnnTensor result) {
  CudnnDescriptor descriptor(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_GEN_INDEX);
  descriptor.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_INT32);
  descriptor.set(CUDNN_ATTR_POINTWISE_AXIS, axis);
  return apply(std::move(descriptor), {like}, result);
}

CudnnTensor CudnnGraph::apply(CudnnDescriptor mode, std::initializer_list<CudnnTensor> operands,
                              CudnnTensor result) {
  constexpr std::array places{CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
                              CUDNN_ATTR_OPERATION_POINTWISE_TDESC};
  mode.finish("describing an operation on elements");
  parts_.push_back(std::move(mode));
  CudnnDescriptor& operation = operations_.emplace_back(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.attach(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, parts_.back());
  for (auto place = places.begin(); const CudnnTensor operand : operands)
    operation.attach(*place++, at(operand));
  operation.attach(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, at(result));
  operation.finish("describing an operation on elements");
  return result;
}

CudnnTensor CudnnGraph::reduce(cudnnReduceTensorOp_t kind, CudnnTensor operand, CudnnTensor result) {
  CudnnDescriptor& mode = parts_.emplace_back(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  mode.set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT);
  mode.set(CUDNN_ATTR_REDUCTION_OPERATOR, kind);
  mode.finish("describing a reduction");
  CudnnDescriptor& operation = operations_.emplace_back(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
  operation.attach(CUDNN_ATTR_OPERATION_REDUCTION_DESC, mode);
  operation.attach(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, at(operand));
  operation.attach(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, at(result));
  operation.finish("describing a reduction");
  return result;
}

CudnnTensor CudnnGraph::reshape(CudnnTensor operand, CudnnTensor result) {
  CudnnDescriptor& operation = operations_.emplace_back(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
  operation.attach(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, at(operand));
  operation.attach(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, at(result));
  operation.finish("describing another view of a tensor");
  return result;
}

std::vector<CudnnDescriptor> CudnnGraph::find_configurations(cudnnHandle_t handle) {
  constexpr std::size_t most = 16;
  CudnnDescriptor& graph = parts_.emplace_back(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle);
  graph.attach(CUDNN_ATTR_OPERATIONGRAPH_OPS, std::span<const CudnnDescriptor>(operations_));
  graph.finish("joining operations");
  CudnnDescriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.attach(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_HEUR_MODE_A);
  heuristics.finish("looking for a plan");
  return heuristics.read(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, most);
}

std::optional<CudnnPlan> CudnnGraph::compile(cudnnHandle_t handle, std::size_t workspace_limit) {
  bool too_large = false;
  std::string problem = "cuDNN has no kernel for this whose results repeat";
  for (CudnnDescriptor& configuration : find_configurations(handle)) {
    try {
      if (!repeats(configuration)) continue;
      if (expected_workspace(configuration) > workspace_limit) {
        too_large = true;
        continue;
      }
      CudnnDescriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle);
      plan.attach(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
      plan.finish("compiling a plan");
      if (workspace_of_plan(plan) > workspace_limit) {
        too_large = true;
        continue;
      }
      return CudnnPlan(std::move(plan), std::move(configuration), std::move(*this));
    } catch (const DeviceError& error) {
      problem = error.what();
    }
  }
  if (too_large) return std::nullopt;
  throw DeviceError("{}", problem);
}

}  // namespace cola::cuda
