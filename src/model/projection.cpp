#include "model/projection.h"

#include <algorithm>
#include <numeric>

#include "core/kernels/activation.h"
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

void Projection::forward(Device& device, const Tensor& weights, const Tensor& x, const Tensor& pre,
                         const ProjectionWorkspace& workspace, const Tensor& outputs) const {
  if (is_cola()) {
    device.matmul().multiply(x, Transpose::no, a(weights), Transpose::yes, pre, Accumulate::no);
    recompute(device, weights, pre, workspace, outputs);
    return;
  }
  for (std::int64_t p = 0; p < parts(); ++p)
    device.matmul().multiply(x, Transpose::no, full(weights, p), Transpose::yes, part(outputs, x.dim(0), p),
                             Accumulate::no);
}

void Projection::recompute(Device& device, const Tensor& weights, const Tensor& pre,
                           const ProjectionWorkspace& workspace, const Tensor& outputs) const {
  const std::int64_t rows = pre.dim(0);
  const Tensor split = workspace.split.view(0, {parts(), rows, rank_});
  device.activation().silu_split(pre, split);
  if (uniform()) {
    device.matmul().multiply(split, Transpose::no, b_batch(weights), Transpose::yes, batch(outputs, rows),
                             Accumulate::no);
    return;
  }
  for (std::int64_t p = 0; p < parts(); ++p)
    device.matmul().multiply(split[p], Transpose::no, b(weights, p), Transpose::yes, part(outputs, rows, p),
                             Accumulate::no);
}

void Projection::backward(Device& device, const Tensor& weights, const Tensor& gradients, const Tensor& x,
                          const Tensor& pre, const Tensor& d_outputs, const ProjectionWorkspace& workspace,
                          const Tensor& dx) const {
  if (!is_cola()) return backward_full(device, weights, gradients, x, d_outputs, dx);
  const std::int64_t rows = x.dim(0);
  const Tensor split = workspace.split.view(0, {parts(), rows, rank_});
  const Tensor d_split = workspace.d_split.view(0, {parts(), rows, rank_});
  const Tensor d_pre = workspace.d_pre.view(0, {rows, pre_width()});
  device.activation().silu_split(pre, split);
  backward_b(device, weights, gradients, d_outputs, split, d_split);
  device.activation().silu_split_backward(pre, d_split, d_pre);
  device.matmul().multiply(d_pre, Transpose::yes, x, Transpose::no, a(gradients), Accumulate::yes);
  device.matmul().multiply(d_pre, Transpose::no, a(weights), Transpose::no, dx, Accumulate::no);
}

// dB += dY^T S and dS = dY B.
void Projection::backward_b(Device& device, const Tensor& weights, const Tensor& gradients,
                            const Tensor& d_outputs, const Tensor& split, const Tensor& d_split) const {
  const std::int64_t rows = split.dim(1);
  if (uniform()) {
    const Tensor dy = batch(d_outputs, rows);
    device.matmul().multiply(dy, Transpose::yes, split, Transpose::no, b_batch(gradients), Accumulate::yes);
    device.matmul().multiply(dy, Transpose::no, b_batch(weights), Transpose::no, d_split, Accumulate::no);
    return;
  }
  for (std::int64_t p = 0; p < parts(); ++p) {
    const Tensor dy = part(d_outputs, rows, p);
    device.matmul().multiply(dy, Transpose::yes, split[p], Transpose::no, b(gradients, p), Accumulate::yes);
    device.matmul().multiply(dy, Transpose::no, b(weights, p), Transpose::no, d_split[p], Accumulate::no);
  }
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
