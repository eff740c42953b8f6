#include "model/projection.h"

#include <algorithm>
#include <numeric>

#include "core/kernels/activation.h"
#include "core/kernels/fused_product.h"
#include "core/kernels/matmul.h"

namespace cola {

Projection::Projection(const ParameterTable& table, const std::vector<std::string>& names) {
  const bool cola = table.configuration().projection == ProjectionKind::cola;
  for (const std::string& name : names) {
    const Parameter& outer = table.find(name + (cola ? ".cola_b" : ".weight"));
    outs_.push_back(outer.stored_rows);
    b_offsets_.push_back(outer.offset);
  }
  const Parameter& inner = table.find(names.front() + (cola ? ".cola_a" : ".weight"));
  in_ = inner.stored_columns;
  first_offset_ = inner.offset;
  if (cola) rank_ = inner.stored_rows;
}

bool Projection::uniform() const {
  return std::all_of(outs_.begin(), outs_.end(), [&](std::int64_t out) { return out == outs_.front(); });
}

Tensor Projection::part(const Tensor& outputs, std::int64_t rows, std::int64_t part) const {
  const auto before = std::accumulate(outs_.begin(), outs_.begin() + part, std::int64_t{0});
  return outputs.view(before * rows, {rows, outs_[static_cast<std::size_t>(part)]});
}

Tensor Projection::b(const Tensor& unit, std::int64_t part) const {
  const auto index = static_cast<std::size_t>(part);
  return unit.view(b_offsets_[index], {outs_[index], rank_});
}

Tensor Projection::full(const Tensor& unit, std::int64_t part) const {
  const auto index = static_cast<std::size_t>(part);
  return unit.view(b_offsets_[index], {outs_[index], in_});
}

void Projection::forward(Device& device, const Tensor& weights, const Tensor& x,
                         const NarrowActivations& narrow, const Tensor& outputs) const {
  if (is_cola()) {
    apply_a(device, weights, x, narrow);
    apply_b(device, weights, narrow, outputs);
    return;
  }
  for (std::int64_t p = 0; p < parts(); ++p)
    device.matmul().multiply(x, Transpose::no, full(weights, p), Transpose::yes, part(outputs, x.dim(0), p),
                             Accumulate::no);
}

void Projection::forward_added(Device& device, const Tensor& weights, const Tensor& x,
                               const NarrowActivations& narrow, const Tensor& residual,
                               const Tensor& sum) const {
  const MatmulKernels& matmul = device.matmul();
  if (!is_cola())
    return matmul.multiply_add(x, Transpose::no, full(weights, 0), Transpose::yes, residual, sum);
  apply_a(device, weights, x, narrow);
  matmul.multiply_add(split_part(narrow, 0), Transpose::no, b(weights, 0), Transpose::yes, residual, sum);
}

void Projection::apply_a(Device& device, const Tensor& weights, const Tensor& x,
                         const NarrowActivations& narrow) const {
  device.fused_products().silu_product(x, a(weights), narrow.pre, split_of(narrow));
}

void Projection::restore_split(Device& device, const NarrowActivations& narrow) const {
  device.activation().silu_split(narrow.pre, split_of(narrow));
}

void Projection::apply_b(Device& device, const Tensor& weights, const NarrowActivations& narrow,
                         const Tensor& outputs) const {
  const std::int64_t rows = narrow.pre.dim(0);
  const Tensor split = split_of(narrow);
  if (uniform()) {
    device.matmul().multiply(split, Transpose::no, b_batch(weights), Transpose::yes, batch(outputs, rows),
                             Accumulate::no);
    return;
  }
  for (std::int64_t p = 0; p < parts(); ++p)
    device.matmul().multiply(split[p], Transpose::no, b(weights, p), Transpose::yes, part(outputs, rows, p),
                             Accumulate::no);
}

void Projection::apply_b_rotated(Device& device, const Tensor& weights, const NarrowActivations& narrow,
                                 const RotationTables& tables, std::int64_t rotated_parts,
                                 const Tensor& outputs) const {
  device.fused_products().rotated_product(split_of(narrow), b_batch(weights), tables, rotated_parts,
                                          batch(outputs, narrow.pre.dim(0)));
}

void Projection::backward(Device& device, const Tensor& weights, const Tensor& gradients, const Tensor& x,
                          const NarrowActivations& narrow, const Tensor& d_outputs,
                          const ProjectionWorkspace& workspace, const Tensor& dx) const {
  if (!is_cola()) return backward_full(device, weights, gradients, x, d_outputs, dx);
  const Tensor d_pre = backward_to_pre(device, weights, gradients, x, narrow, d_outputs, workspace).d_pre;
  device.matmul().multiply(d_pre, Transpose::no, a(weights), Transpose::no, dx, Accumulate::no);
}

void Projection::backward_through_norm(Device& device, const Tensor& weights, const Tensor& gradients,
                                       const Tensor& x, const NarrowActivations& narrow,
                                       const Tensor& d_outputs, const ProjectionWorkspace& workspace,
                                       const Tensor& dx, const NormBackward& norm) const {
  if (is_cola()) {
    const auto [d_pre, row_dots] =
        backward_to_pre(device, weights, gradients, x, narrow, d_outputs, workspace);
    return device.fused_products().normed_product_backward(d_pre, a(weights), narrow.pre, row_dots, dx, norm);
  }
  backward_full(device, weights, gradients, x, d_outputs, dx);
  device.norm().backward(dx, norm);
}

// dB += dY^T S, d_pre = (dY B) * silu'(pre), dA += d_pre^T x.
NarrowGradients Projection::backward_to_pre(Device& device, const Tensor& weights, const Tensor& gradients,
                                            const Tensor& x, const NarrowActivations& narrow,
                                            const Tensor& d_outputs,
                                            const ProjectionWorkspace& workspace) const {
  const std::int64_t rows = x.dim(0);
  const Tensor split = split_of(narrow);
  const Tensor d_split = workspace.d_split.view(0, {parts(), rows, rank_});
  const Tensor d_pre = workspace.d_pre.view(0, {rows, pre_width()});
  const MatmulKernels& matmul = device.matmul();
  Tensor row_dots;
  if (uniform()) {
    const Tensor dy = batch(d_outputs, rows);
    matmul.multiply(dy, Transpose::yes, split, Transpose::no, b_batch(gradients), Accumulate::yes);
    row_dots =
        device.fused_products().silu_product_backward(dy, b_batch(weights), narrow.pre, d_split, d_pre);
  } else {
    for (std::int64_t p = 0; p < parts(); ++p) {
      const Tensor dy = part(d_outputs, rows, p);
      matmul.multiply(dy, Transpose::yes, split[p], Transpose::no, b(gradients, p), Accumulate::yes);
      matmul.multiply(dy, Transpose::no, b(weights, p), Transpose::no, d_split[p], Accumulate::no);
    }
    device.activation().silu_split_backward(narrow.pre, d_split, d_pre);
  }
  matmul.multiply(d_pre, Transpose::yes, x, Transpose::no, a(gradients), Accumulate::yes);
  return {d_pre, row_dots};
}

void Projection::backward_full(Device& device, const Tensor& weights, const Tensor& gradients,
                               const Tensor& x, const Tensor& d_outputs, const Tensor& dx) const {
  for (std::int64_t p = 0; p < parts(); ++p) {
    const Tensor dy = part(d_outputs, x.dim(0), p);
    device.matmul().multiply(dy, Transpose::yes, x, Transpose::no, full(gradients, p), Accumulate::yes);
    device.matmul().multiply(dy, Transpose::no, full(weights, p), Transpose::no, dx,
                             p == 0 ? Accumulate::no : Accumulate::yes);
  }
}

}  // namespace cola
