// cuBLASLt, emulated: descriptors, layouts and preferences.
#include "cublas_lt_descriptors.h"

#include <cstring>

#include "core/error.h"

namespace cola::emulation {

namespace {

std::string& last_problem() {
  thread_local std::string problem;  // of a host thread
  return problem;
}

// Sets a member from an attribute's bytes, whose number must be the member's.
template <typename T>
cublasStatus_t set(T& member, const void* value, std::size_t bytes) {
  if (bytes != sizeof(T))
    return refuse(CUBLAS_STATUS_INVALID_VALUE,
                  fmt::format("an attribute of {} bytes was given {}", sizeof(T), bytes));
  std::memcpy(&member, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

cublasStatus_t refuse(cublasStatus_t status, std::string problem) {
  last_problem() = std::move(problem);
  return status;
}

}  // namespace cola::emulation

using namespace cola::emulation;

extern "C" {

const char* cublasLtGetStatusString(cublasStatus_t status) {
  if (status == CUBLAS_STATUS_SUCCESS) return "success";
  return last_problem().empty() ? "an error of the emulated cuBLASLt" : last_problem().c_str();
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* descriptor, cublasComputeType_t compute_type,
                                        cudaDataType_t scale_type) {
  auto* made = new ProductDescriptor;
  made->compute_type = compute_type;
  made->scale_type = scale_type;
  *descriptor = made;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t descriptor) {
  delete static_cast<ProductDescriptor*>(descriptor);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              std::size_t bytes) {
  auto& descriptor = *static_cast<ProductDescriptor*>(handle);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
      return set(descriptor.pointer_mode, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return set(descriptor.transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return set(descriptor.transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return set(descriptor.epilogue, value, bytes);
    default:
      return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "a product's attribute that is not emulated");
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* handle, cudaDataType type,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t leading_dimension) {
  auto* made = new MatrixLayout;
  made->type = type;
  made->rows = rows;
  made->columns = columns;
  made->leading_dimension = leading_dimension;
  *handle = made;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t handle) {
  delete static_cast<MatrixLayout*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t handle,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                                                std::size_t bytes) {
  auto& layout = *static_cast<MatrixLayout*>(handle);
  switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
      return set(layout.type, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
      return set(layout.order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
      return set(layout.rows, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
      return set(layout.columns, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD:
      return set(layout.leading_dimension, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return set(layout.batch_count, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return set(layout.batch_stride, value, bytes);
    default:
      return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "a layout's attribute that is not emulated");
  }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* handle) {
  *handle = new Preference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t handle) {
  delete static_cast<Preference*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, std::size_t bytes) {
  auto& preference = *static_cast<Preference*>(handle);
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return set(preference.workspace_bytes, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return set(preference.alignment[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return set(preference.alignment[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return set(preference.alignment[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return set(preference.alignment[3], value, bytes);
    default:
      return CUBLAS_STATUS_SUCCESS;  // the others only narrow the choice
  }
}

}  // extern "C"
