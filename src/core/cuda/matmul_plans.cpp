#include "core/cuda/matmul_plans.h"

#include <algorithm>
#include <array>
#include <span>

#include "core/cuda/check.h"
#include "core/cuda/handles.h"
#include "core/cuda/timing.h"
#include "core/error.h"

namespace cola::cuda {

namespace {

using Description = std::unique_ptr<cublasLtMatmulDescOpaque_t, GiveBack<cublasLtMatmulDescDestroy>>;
using Layout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, GiveBack<cublasLtMatrixLayoutDestroy>>;
using Preference =
    std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, GiveBack<cublasLtMatmulPreferenceDestroy>>;

cudaDataType_t type_of(DataType type) {
  return type == DataType::bfloat16 ? CUDA_R_16BF : CUDA_R_32F;
}

// No TF32: fp32 products stay fp32.
Description describe_product(bool transpose_first, bool transpose_second) {
  cublasLtMatmulDesc_t made = nullptr;
  check(cublasLtMatmulDescCreate(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product");
  Description description(made);
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, bool transpose) {
    const cublasOperation_t operation = transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
    check(cublasLtMatmulDescSetAttribute(made, attribute, &operation, sizeof(operation)),
          "describing a product");
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, transpose_first);
  set(CUBLASLT_MATMUL_DESC_TRANSB, transpose_second);
  return description;
}

// cuBLAS counts columns first: our row-major [rows, columns] is its [columns, rows].
Layout describe_matrix(DataType type, std::int64_t rows, std::int64_t columns, std::int64_t batch) {
  cublasLtMatrixLayout_t made = nullptr;
  check(cublasLtMatrixLayoutCreate(&made, type_of(type), static_cast<std::uint64_t>(columns),
                                   static_cast<std::uint64_t>(rows), columns),
        "describing a matrix");
  Layout layout(made);
  if (batch == 1) return layout;
  const auto count = static_cast<std::int32_t>(batch);
  const std::int64_t distance = rows * columns;
  check(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof(count)),
        "describing a batch of matrices");
  check(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &distance,
                                         sizeof(distance)),
        "describing a batch of matrices");
  return layout;
}

// Split sums must pass through fp32 in the workspace, added up in a fixed order: adding them up in the result
// would round each to the result's type.
Preference describe_preference(int alignment) {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "choosing a product's kernel");
  Preference preference(made);
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    check(cublasLtMatmulPreferenceSetAttribute(made, attribute, &value, sizeof(value)),
          "choosing a product's kernel");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{Context::blas_workspace_bytes});
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    set(attribute, static_cast<std::uint32_t>(alignment));
  return preference;
}

constexpr int most_algorithms = 8;
constexpr float clearly_quicker = 0.02f;  // of the time

double operations_of(const MatmulKind& kind) {
  return 2.0 * static_cast<double>(kind.batch * kind.m) * static_cast<double>(kind.n * kind.k);
}
std::size_t bytes_of_result(const MatmulKind& kind) {
  return static_cast<std::size_t>(kind.batch * kind.m * kind.n) * size_of(kind.output);
}

bool is_usable(const cublasLtMatmulHeuristicResult_t& suggestion) {
  return suggestion.state == CUBLAS_STATUS_SUCCESS;
}

bool is_recording(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream, &status), "asking whether work is recorded");
  return status != cudaStreamCaptureStatusNone;
}

// Hopper's bf16 kernels add up one way whatever their tiles, if they split sums alike: tests compare them to
// the bit. Older GPUs' kernels may also split a sum within a block, which cuBLASLt does not tell.
bool order_of_sums_is_known(const Context& context, const MatmulKind& kind) {
  return context.is_hopper() && kind.input == DataType::bfloat16;
}

// The family of kernels, into how many sums they split a product, and how these are added up.
std::array<std::int32_t, 3> order_of_sums(const cublasLtMatmulAlgo_t& algorithm) {
  std::array<std::int32_t, 3> order{};
  const auto read = [&](cublasLtMatmulAlgoConfigAttributes_t attribute, std::int32_t& value) {
    std::size_t written = 0;
    check(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, attribute, &value, sizeof(value), &written),
          "reading how a product is computed");
  };
  read(CUBLASLT_ALGO_CONFIG_SPLITK_NUM, order[0]);
  read(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, order[1]);
  read(CUBLASLT_ALGO_CONFIG_ID, order[2]);
  return order;
}

}  // namespace

// c^T = op(b)^T op(a)^T: read column by column, as cuBLAS does, our c is its c^T, so b comes first.
struct MatmulPlans::Plan {
  explicit Plan(const MatmulKind& kind)
      : product(describe_product(kind.transpose_b, kind.transpose_a)),
        a(describe_matrix(kind.input, kind.transpose_a ? kind.k : kind.m, kind.transpose_a ? kind.m : kind.k,
                          kind.batch)),
        b(describe_matrix(kind.input, kind.transpose_b ? kind.n : kind.k, kind.transpose_b ? kind.k : kind.n,
                          kind.batch)),
        c(describe_matrix(kind.output, kind.m, kind.n, kind.batch)) {}

  Description product;
  Layout a, b, c;
  cublasLtMatmulAlgo_t algorithm{};
};

MatmulPlans::MatmulPlans(const Context& context, double smallest_timed)
    : context_(context), smallest_timed_(smallest_timed) {}
MatmulPlans::~MatmulPlans() = default;

const MatmulPlans::Plan& MatmulPlans::find(const MatmulKind& kind, const MatmulOperands& operands) {
  const auto known = plans_.find(kind);
  if (known != plans_.end()) return *known->second;
  auto plan = std::make_unique<Plan>(kind);
  const Preference preference = describe_preference(kind.alignment);
  std::array<cublasLtMatmulHeuristicResult_t, most_algorithms> results{};
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      context_.blas, plan->product.get(), plan->b.get(), plan->a.get(), plan->c.get(), plan->c.get(),
      preference.get(), most_algorithms, results.data(), &found);
  const auto suggestions = std::span(results).first(static_cast<std::size_t>(found));
  const auto first = std::find_if(suggestions.begin(), suggestions.end(), is_usable);
  if (status != CUBLAS_STATUS_SUCCESS || first == suggestions.end())
    throw DeviceError("cuBLAS cannot multiply {} x [{}, {}] by [{}, {}] in {} to {}: {}", kind.batch, kind.m,
                      kind.k, kind.k, kind.n, name_of(kind.input), name_of(kind.output),
                      cublasLtGetStatusString(status));
  plan->algorithm = first->algo;
  if (operations_of(kind) >= smallest_timed_ && order_of_sums_is_known(context_, kind) &&
      !is_recording(context_.stream))
    choose_fastest(*plan, kind, operands, suggestions);
  return *plans_.emplace(kind, std::move(plan)).first->second;
}

// What is added to in its place would be added to again and again: its values are put aside meanwhile. Where
// there is no memory for that, the heuristics' first suggestion stays.
void MatmulPlans::choose_fastest(Plan& plan, const MatmulKind& kind, const MatmulOperands& operands,
                                 std::span<const cublasLtMatmulHeuristicResult_t> suggestions) {
  // Collectives, whose ranks may come late, would hold multiprocessors beside some of the tries.
  if (context_.collectives_beside > 0) check(cudaDeviceSynchronize(), "waiting for collectives");
  const bool in_place = operands.addend == operands.c;
  const SavedValues saved(in_place ? operands.c : nullptr, bytes_of_result(kind), context_.stream);
  if (in_place && !saved) return;
  const auto order = order_of_sums(plan.algorithm);
  float shortest = 0;
  for (const cublasLtMatmulHeuristicResult_t& suggestion : suggestions) {
    if (!is_usable(suggestion) || order_of_sums(suggestion.algo) != order) continue;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    const float time = shortest_milliseconds(context_.stream, [&] {
      if (status == CUBLAS_STATUS_SUCCESS) status = start(plan, suggestion.algo, operands);
    });
    if (status != CUBLAS_STATUS_SUCCESS) continue;  // suggested, and yet refused
    // The first suggestion gives way to what is clearly quicker only, not to chance.
    if (shortest == 0 || time < (1 - clearly_quicker) * shortest) {
      shortest = time;
      plan.algorithm = suggestion.algo;
    }
  }
}

cublasStatus_t MatmulPlans::start(const Plan& plan, const cublasLtMatmulAlgo_t& algorithm,
                                  const MatmulOperands& operands) const {
  const float one = 1.0f, share_of_addend = operands.addend ? 1.0f : 0.0f;
  const void* addend = operands.addend ? operands.addend : operands.c;  // not read where its share is 0
  return cublasLtMatmul(context_.blas, plan.product.get(), &one, operands.b, plan.b.get(), operands.a,
                        plan.a.get(), &share_of_addend, addend, plan.c.get(), operands.c, plan.c.get(),
                        &algorithm, context_.blas_workspace, Context::blas_workspace_bytes, context_.stream);
}

void MatmulPlans::multiply(const MatmulKind& kind, const MatmulOperands& operands) {
  const Plan& plan = find(kind, operands);
  check(start(plan, plan.algorithm, operands), "a matrix product");
}

}  // namespace cola::cuda
