#include "core/cuda/matmul_plans.h"

#include "core/cuda/check.h"
#include "core/error.h"

namespace cola::cuda {

namespace {

// cuBLASLt's objects, destroyed with their owners.
template <auto destroy>
struct Destroyer {
  template <typename Object>
  void operator()(Object* object) const noexcept {
    destroy(object);
  }
};
using Description = std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroyer<cublasLtMatmulDescDestroy>>;
using Layout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroyer<cublasLtMatrixLayoutDestroy>>;
using Preference =
    std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, Destroyer<cublasLtMatmulPreferenceDestroy>>;

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

MatmulPlans::MatmulPlans(const Context& context) : context_(context) {}
MatmulPlans::~MatmulPlans() = default;

const MatmulPlans::Plan& MatmulPlans::find(const MatmulKind& kind) {
  const auto known = plans_.find(kind);
  if (known != plans_.end()) return *known->second;
  auto plan = std::make_unique<Plan>(kind);
  const Preference preference = describe_preference(kind.alignment);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(context_.blas, plan->product.get(), plan->b.get(), plan->a.get(),
                                     plan->c.get(), plan->c.get(), preference.get(), 1, &best, &found);
  if (status != CUBLAS_STATUS_SUCCESS || found == 0)
    throw DeviceError("cuBLAS cannot multiply {} x [{}, {}] by [{}, {}] in {} to {}: {}", kind.batch, kind.m,
                      kind.k, kind.k, kind.n, name_of(kind.input), name_of(kind.output),
                      cublasLtGetStatusString(status));
  plan->algorithm = best.algo;
  return *plans_.emplace(kind, std::move(plan)).first->second;
}

void MatmulPlans::multiply(const MatmulKind& kind, const void* a, const void* b, void* c) {
  const Plan& plan = find(kind);
  const float one = 1.0f, keep = kind.accumulate ? 1.0f : 0.0f;
  check(cublasLtMatmul(context_.blas, plan.product.get(), &one, b, plan.b.get(), a, plan.a.get(), &keep, c,
                       plan.c.get(), c, plan.c.get(), &plan.algorithm, context_.blas_workspace,
                       Context::blas_workspace_bytes, context_.stream),
        "a matrix product");
}

}  // namespace cola::cuda
