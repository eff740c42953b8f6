// What stands behind cuBLASLt's opaque descriptors, and the products they describe.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace cola::emulation {

/// Keeps `problem` for cublasLtGetStatusString; returns `status`.
cublasStatus_t refuse(cublasStatus_t status, std::string problem);

struct MatrixLayout : cublasLtMatrixLayoutOpaque_t {
  cudaDataType type = CUDA_R_32F;
  std::uint64_t rows = 0, columns = 0;
  std::int64_t leading_dimension = 0;
  std::int32_t order = CUBLASLT_ORDER_COL;
  std::int32_t batch_count = 1;
  std::int64_t batch_stride = 0;  // elements

  /// Elements from the first to behind the last one, all matrices of the batch.
  std::uint64_t extent() const;
  std::uint64_t index(std::uint64_t batch, std::uint64_t row, std::uint64_t column) const;
  std::size_t element_bytes() const { return type == CUDA_R_16BF ? 2 : 4; }
};

struct ProductDescriptor : cublasLtMatmulDescOpaque_t {
  cublasComputeType_t compute_type = CUBLAS_COMPUTE_32F;
  cudaDataType scale_type = CUDA_R_32F;
  std::int32_t pointer_mode = CUBLASLT_POINTER_MODE_HOST;
  std::int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  std::uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
};

struct Preference : cublasLtMatmulPreferenceOpaque_t {
  std::uint64_t workspace_bytes = 0;
  std::uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};

/// A choice of the heuristics: what it needs of its operands. Lies in cublasLtMatmulAlgo_t.
struct Algorithm {
  std::uint64_t mark = 0;
  std::uint64_t workspace_bytes = 0;
  std::uint32_t alignment[4] = {};
  std::uint64_t kind = 0;  // of the product it was chosen for
};

/// D = alpha op(A) op(B) + beta C, column-major unless a layout's order says otherwise.
struct Product {
  ProductDescriptor descriptor;
  MatrixLayout a, b, c, d;

  /// Why cuBLASLt cannot compute it; empty if it can.
  std::string problem() const;
  std::uint64_t kind() const;
  void compute(float alpha, const void* a_data, const void* b_data, float beta, const void* c_data,
               void* d_data) const;
};

}  // namespace cola::emulation
