#include <cstdint>

#include "core/cuda/hopper/hopper_products.h"
#include "core/cuda/kernels.h"
#include "core/cuda/norm_sums.h"
#include "core/cuda/row_alignment.h"

namespace cola::cuda {

namespace {

// The parts, `columns` wide, of rows that hold them side by side.
fused::Matrices<void> parts_of(const Tensor& joined, std::int64_t columns) {
  return {joined.data(), joined.dim(-1), columns};
}

}  // namespace

CudaFusedProducts::CudaFusedProducts(const Context& context, const MatmulKernels& matmul,
                                     const ActivationKernels& activation, const RopeKernels& rope,
                                     const NormKernels& norm)
    : OnContext(context), separate_(matmul, activation, rope, norm) {}

bool CudaFusedProducts::joins(DataType type) const {
  return type == DataType::bfloat16 && fused::available(context_);
}

// Every tensor's rows must be of whole 16 bytes; those of `columns` are parts of wider rows.
template <typename... Tensors>
bool CudaFusedProducts::fits(std::int64_t columns, const Tensors&... tensors) const {
  return ((joins(tensors.type()) && rows_are_aligned(tensors.dim(-1), tensors.type(), tensors.data())) &&
          ...) &&
         columns * static_cast<std::int64_t>(size_of(DataType::bfloat16)) % 16 == 0;
}

// All parts have the same x: the batch does not advance in it.
void CudaFusedProducts::silu_product(const Tensor& x, const Tensor& a, const Tensor& pre,
                                     const Tensor& split) const {
  const std::int64_t parts = split.dim(0), n = split.dim(1), rank = split.dim(2), in = x.dim(1);
  if (!fits(rank, x, a, pre, split)) return separate_.silu_product(x, a, pre, split);
  if (n == 0) return;
  fused::silu_product(context_, {.batch = parts,
                                 .m = n,
                                 .n = rank,
                                 .k = in,
                                 .a = {x.data(), in, 0},
                                 .b = {a.data(), in, rank * in},
                                 .output = fused::matrices(split),
                                 .second_output = parts_of(pre, rank)});
}

Tensor CudaFusedProducts::silu_product_backward(const Tensor& d_outputs, const Tensor& b, const Tensor& pre,
                                                const Tensor& d_split, const Tensor& d_pre) const {
  const std::int64_t parts = b.dim(0), n = d_outputs.dim(1), rank = b.dim(2);
  if (!fits(rank, d_outputs, b, pre, d_pre))
    return separate_.silu_product_backward(d_outputs, b, pre, d_split, d_pre);
  // Rows are of whole 16 bytes: four bytes for each 128 columns have room in them.
  const Tensor row_dots(d_split.data(), DataType::float32, {parts * fused::RowDots::stretches(rank), n});
  if (n == 0) return row_dots;
  fused::silu_gradient_product(context_, {.batch = parts,
                                          .m = n,
                                          .n = rank,
                                          .k = b.dim(1),
                                          .a = fused::inputs(d_outputs),
                                          .b = fused::inputs(b),
                                          .input = {pre.data(), pre.dim(-1), rank},
                                          .output = parts_of(d_pre, rank),
                                          .row_dots = {row_dots.as<float>()}});
  return row_dots;
}

void CudaFusedProducts::rotated_product(const Tensor& x, const Tensor& b, const RotationTables& tables,
                                        std::int64_t rotated_parts, const Tensor& outputs) const {
  constexpr std::int64_t half_head = 32;  // the angles of wider heads would not fit the registers
  if (!fits(b.dim(1), x, b, outputs) || tables.half_head_dim() != half_head)
    return separate_.rotated_product(x, b, tables, rotated_parts, outputs);
  if (outputs.elements() == 0) return;
  fused::rotated_product(
      context_, {.batch = x.dim(0),
                 .m = x.dim(1),
                 .n = b.dim(1),
                 .k = x.dim(2),
                 .a = fused::inputs(x),
                 .b = fused::inputs(b),
                 .output = fused::matrices(outputs),
                 .rotation = {tables.cosines.as<float>(), tables.sines.as<float>(),
                              static_cast<int>(tables.positions()), static_cast<int>(rotated_parts)}});
}

void CudaFusedProducts::gated_product(GateActivation activation, const Tensor& x, const Tensor& b,
                                      const Tensor& gate, const Tensor& up, const Tensor& product) const {
  if (!fits(b.dim(0), x, b, gate, up, product))
    return separate_.gated_product(activation, x, b, gate, up, product);
  if (product.elements() == 0) return;
  fused::gated_product(context_, activation,
                       {.m = x.dim(0),
                        .n = b.dim(0),
                        .k = x.dim(1),
                        .a = fused::inputs(x),
                        .b = fused::inputs(b),
                        .input = fused::inputs(gate),
                        .output = fused::matrices(product),
                        .second_output = fused::matrices(up)});
}

void CudaFusedProducts::gated_product_backward(GateActivation activation, const Tensor& d_pre,
                                               const Tensor& a, const Tensor& d_product, const Tensor& gate,
                                               const Tensor& up) const {
  if (!fits(a.dim(1), d_pre, a, gate, up))
    return separate_.gated_product_backward(activation, d_pre, a, d_product, gate, up);
  if (gate.elements() == 0) return;
  fused::gated_gradient_product(context_, activation,
                                {.m = d_pre.dim(0),
                                 .n = a.dim(1),
                                 .k = a.dim(0),
                                 .a = fused::inputs(d_pre),
                                 .b = fused::inputs(a),
                                 .input = fused::inputs(gate),
                                 .second_input = fused::inputs(up),
                                 .output = fused::matrices(up),
                                 .second_output = fused::matrices(gate)});
}

void CudaFusedProducts::normed_product_backward(const Tensor& d_pre, const Tensor& a, const Tensor& pre,
                                                const Tensor& row_dots, const Tensor& dy,
                                                const NormBackward& norm) const {
  const std::int64_t n = d_pre.dim(0), columns = a.dim(1), shares = fused::NormFactors::shares(n);
  const bool has_room = (n + shares * columns) * sizeof(float) <= Context::scratch_bytes;
  if (!has_room || !fits(columns, d_pre, a, pre, norm.x, norm.weight, norm.dx))
    return separate_.normed_product_backward(d_pre, a, pre, row_dots, dy, norm);
  if (n == 0) return;
  auto* const x_factors = static_cast<float*>(context_.scratch);
  float* const dweight_shares = x_factors + n;
  if (row_dots.empty())
    norm_x_factors(context_, pre, d_pre, norm.inverse_rms, columns, x_factors);
  else
    norm_x_factors(context_, row_dots, norm.inverse_rms, columns, x_factors);
  fused::norm_gradient_product(
      context_, {.m = n,
                 .n = columns,
                 .k = a.dim(0),
                 .a = fused::inputs(d_pre),
                 .b = fused::inputs(a),
                 .input = fused::inputs(norm.x),
                 .second_input = fused::inputs(norm.dx),
                 .output = fused::matrices(norm.dx),
                 .norm = {norm.weight.data(), norm.inverse_rms.as<float>(), x_factors, dweight_shares}});
  add_column_sums(context_, dweight_shares, static_cast<int>(shares), static_cast<int>(columns),
                  norm.dweight.as<float>());
}

}  // namespace cola::cuda
