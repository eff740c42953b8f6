// cuBLASLt, emulated: heuristics with two choices that compute alike, products computed in fp32 on the
// stream.
#include <cublasLt.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "core/error.h"
#include "cublas_lt_descriptors.h"
#include "emulated_gpu.h"

struct cublasLtContext {};

namespace {

using namespace cola::emulation;

constexpr std::uint64_t algorithm_mark = 0x636f6c61;
constexpr std::size_t workspace_alignment = 256;
// What the choice says it needs, and writes to, so that memory used for two things at a time shows.
constexpr std::uint64_t wanted_workspace_bytes = 64 << 10;

Product product_of(cublasLtMatmulDesc_t descriptor, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                   cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d) {
  const auto layout = [](cublasLtMatrixLayout_t handle) { return *static_cast<MatrixLayout*>(handle); };
  return {*static_cast<ProductDescriptor*>(descriptor), layout(a), layout(b), layout(c), layout(d)};
}

// Why the product cannot be started with these addresses; empty if it can.
std::string problem_of_operands(const Product& product, const Algorithm& algorithm,
                                const void* const (&data)[4], float beta) {
  const MatrixLayout* layouts[] = {&product.a, &product.b, &product.c, &product.d};
  const char* names[] = {"A", "B", "C", "D"};
  for (int i = 0; i < 4; ++i) {
    if (i == 2 && beta == 0) continue;  // C is not read
    if (!EmulatedGpu::instance().memory().holds(data[i], layouts[i]->extent() * layouts[i]->element_bytes()))
      return fmt::format("{}, {} x {}, is not device memory to its end", names[i], layouts[i]->rows,
                         layouts[i]->columns);
    if (reinterpret_cast<std::uintptr_t>(data[i]) % algorithm.alignment[i] != 0)
      return fmt::format("{} is less aligned than the {} bytes that the algorithm was chosen for", names[i],
                         algorithm.alignment[i]);
  }
  if (algorithm.kind != product.kind()) return "the algorithm was chosen for another product";
  return {};
}

}  // namespace

extern "C" {

size_t cublasLtGetVersion() {
  return CUBLAS_VERSION;
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t descriptor,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t handle, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int* returned) {
  *returned = 0;
  const Product product = product_of(descriptor, a, b, c, d);
  if (const std::string problem = product.problem(); !problem.empty())
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, problem);
  if (requested < 1) return refuse(CUBLAS_STATUS_INVALID_VALUE, "no algorithm was asked for");
  const auto& preference = *static_cast<const Preference*>(handle);
  Algorithm algorithm{
      algorithm_mark, std::min(wanted_workspace_bytes, preference.workspace_bytes), {}, product.kind()};
  std::copy(std::begin(preference.alignment), std::end(preference.alignment), algorithm.alignment);
  static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));
  *returned = std::min(requested, 2);
  for (cublasLtMatmulHeuristicResult_t& result : std::span(results, static_cast<std::size_t>(*returned))) {
    result = {};
    std::memcpy(&result.algo, &algorithm, sizeof(algorithm));
    result.workspaceSize = algorithm.workspace_bytes;
    result.state = CUBLAS_STATUS_SUCCESS;
    result.wavesCount = 1;
  }
  return CUBLAS_STATUS_SUCCESS;
}

// Sums are never split.
cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t*,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void* value, std::size_t bytes, std::size_t* written) {
  const std::int32_t answer = attribute == CUBLASLT_ALGO_CONFIG_SPLITK_NUM ? 1 : 0;
  if (attribute != CUBLASLT_ALGO_CONFIG_SPLITK_NUM && attribute != CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME &&
      attribute != CUBLASLT_ALGO_CONFIG_ID)
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "an attribute of an algorithm that is not emulated");
  if (bytes != sizeof(answer)) return refuse(CUBLAS_STATUS_INVALID_VALUE, "an attribute of another size");
  std::memcpy(value, &answer, sizeof(answer));
  if (written) *written = sizeof(answer);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t descriptor, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, std::size_t workspace_bytes,
                              cudaStream_t stream) {
  EmulatedGpu& gpu = EmulatedGpu::instance();
  const std::lock_guard lock(gpu.mutex());
  const Product product = product_of(descriptor, a_layout, b_layout, c_layout, d_layout);
  if (const std::string problem = product.problem(); !problem.empty())
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, problem);
  Algorithm algorithm{algorithm_mark, 0, {1, 1, 1, 1}, product.kind()};
  if (algo) std::memcpy(static_cast<void*>(&algorithm), algo, sizeof(algorithm));
  if (algorithm.mark != algorithm_mark)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "no algorithm of the heuristics");
  float factors[2];
  std::memcpy(&factors[0], alpha, sizeof(float));
  std::memcpy(&factors[1], beta, sizeof(float));
  if (const std::string problem = problem_of_operands(product, algorithm, {a, b, c, d}, factors[1]);
      !problem.empty())
    return refuse(CUBLAS_STATUS_INVALID_VALUE, problem);
  if (workspace_bytes < algorithm.workspace_bytes ||
      (algorithm.workspace_bytes > 0 && !gpu.memory().holds(workspace, workspace_bytes)) ||
      reinterpret_cast<std::uintptr_t>(workspace) % workspace_alignment != 0)
    return refuse(CUBLAS_STATUS_INVALID_VALUE,
                  fmt::format("a workspace of {} bytes at {}", workspace_bytes, workspace));
  gpu.push(stream, [=, used = algorithm.workspace_bytes] {
    if (used > 0) std::memset(workspace, 0xff, used);
    product.compute(factors[0], a, b, factors[1], c, d);
  });
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
