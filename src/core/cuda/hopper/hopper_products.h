// The kernels that CudaFusedProducts and CudaMatmul start: matrix products with element-wise work on their
// results, for GPUs of compute capability 9.0; in a build without CUTLASS, none. All operands are bf16; a row
// is of neighbouring elements, a multiple of 8, and begins at a multiple of 16 bytes.
#pragma once

#include <cstdint>

#include "core/cuda/context.h"
#include "core/divide_up.h"
#include "core/kernels/activation.h"
#include "core/tensor.h"

namespace cola::cuda::fused {

/// A batch of matrices: elements from one row to the next, and from one matrix to the next.
template <typename Data>
struct Matrices {
  Data* data = nullptr;
  std::int64_t row_stride = 0, batch_stride = 0;
};

/// A matrix, or a batch of them one after the other.
inline Matrices<void> matrices(const Tensor& tensor) {
  return {tensor.data(), tensor.dim(-1), tensor.rank() > 2 ? tensor.dim(-2) * tensor.dim(-1) : 0};
}
inline Matrices<const void> inputs(const Tensor& tensor) {
  const auto [data, row_stride, batch_stride] = matrices(tensor);
  return {data, row_stride, batch_stride};
}

/// Angles of a rotary embedding: those of a row are at its number modulo `sequence` in the tables, fp32
/// [sequence, 32].
struct RowRotation {
  const float *cosines = nullptr, *sines = nullptr;
  int sequence = 1;
  int rotated_batches = 0;  // the others are left as they are
};

/// A norm in its backward pass behind a product, whose rows and columns are the norm's.
struct NormFactors {
  const void* weight = nullptr;       // [n]
  const float* dy_factors = nullptr;  // [m]: inverse_rms
  const float* x_factors = nullptr;   // [m]: inverse_rms^2 * mean(y * dy)
  float* dweight_shares = nullptr;    // [shares(m), n], the sum of whose rows is the weight's gradient

  static constexpr int tile_rows = 128, tile_shares = 4;
  static constexpr std::int64_t shares(std::int64_t m) { return divide_up(m, tile_rows) * tile_shares; }
};

/// Where a product's epilogue leaves sums over stretches of its rows, as many columns each as a tile has.
struct RowDots {
  float* dots = nullptr;  // [batch * stretches(n), m]

  static constexpr int tile_columns = 128;
  static constexpr std::int64_t stretches(std::int64_t n) { return divide_up(n, tile_columns); }
};

/// a [m, k] times b, `batch` times. What the inputs and outputs, all [m, n], are, each function says.
struct Operands {
  std::int64_t batch = 1, m = 0, n = 0, k = 0;
  Matrices<const void> a, b;
  Matrices<const void> input = {}, second_input = {};
  Matrices<void> output = {}, second_output = {};
  RowRotation rotation = {};
  NormFactors norm = {};
  RowDots row_dots = {};
};

/// Whether this GPU and this build have these kernels.
bool available(const Context& context);

/// b [n, k]. output = a b^T + input, rounded once.
void added_product(const Context& context, const Operands& operands);

/// b [n, k]. second_output = a b^T, output = silu(a b^T).
void silu_product(const Context& context, const Operands& operands);

/// b [k, n]. output = a b * silu'(input), and row_dots of output * input.
void silu_gradient_product(const Context& context, const Operands& operands);

/// b [n, k]. second_output = a b^T ("up"), output = a b^T * input, or times silu(input), the gate.
void gated_product(const Context& context, GateActivation activation, const Operands& operands);

/// b [k, n]. With a b the gradient of the gated product, `input` the gate and `second_input` "up": output,
/// the gradient of "up", and second_output, that of the gate; they may take their places.
void gated_gradient_product(const Context& context, GateActivation activation, const Operands& operands);

/// b [k, n]. With a b = dy the gradient of a norm's output, `input` what it read (x) and `second_input` a
/// gradient to add to: output = second_input + weight * dy * dy_factors - x * x_factors, which may take its
/// place, and norm.dweight_shares.
void norm_gradient_product(const Context& context, const Operands& operands);

/// b [n, k]. output = a b^T, whose columns are heads of 64, rotated.
void rotated_product(const Context& context, const Operands& operands);

}  // namespace cola::cuda::fused
