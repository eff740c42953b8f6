// Projection: the linear layers of a block that read the same input (q, k and v; gate and up; o; down),
// full-rank or as CoLA's auto-encoders. Forward and backward.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/tensor.h"
#include "model/parameter_table.h"

namespace cola {

/// Rank-wide memory that all projections share, for `rows` rows; empty for full-rank models.
struct ProjectionWorkspace {
  Tensor split;    // silu(pre), [parts, rows, rank]
  Tensor d_split;  // its gradient
  Tensor d_pre;    // the gradient of pre, [rows, parts * rank]
};

/// y_p = W_p x, or y_p = B_p silu(A_p x) with the A_p multiplied as one matrix [parts * rank, in]. Widths are
/// storage widths. "outputs" is flat: [rows, out_0], then [rows, out_1], …
class Projection {
 public:
  /// `names` are parameter names without suffix, as in model.layers.0.self_attn.q_proj.
  Projection(const ParameterTable& table, const std::vector<std::string>& names);

  bool is_cola() const { return rank_ > 0; }
  std::int64_t parts() const { return static_cast<std::int64_t>(outs_.size()); }
  std::int64_t in() const { return in_; }
  std::int64_t rank() const { return rank_; }
  /// Columns of pre; 0 for full-rank.
  std::int64_t pre_width() const { return parts() * rank_; }
  /// Part p of flat outputs for `rows` rows: [rows, out_p].
  Tensor part(const Tensor& outputs, std::int64_t rows, std::int64_t part) const;

  /// x [rows, in]. Writes pre [rows, parts * rank] (CoLA) and the outputs.
  void forward(Device& device, const Tensor& weights, const Tensor& x, const Tensor& pre,
               const ProjectionWorkspace& workspace, const Tensor& outputs) const;

  /// The outputs again from pre: the wide half of CoLA alone, with the same bits.
  void recompute(Device& device, const Tensor& weights, const Tensor& pre,
                 const ProjectionWorkspace& workspace, const Tensor& outputs) const;

  /// Overwrites dx [rows, in]; adds to the gradients (fp32, laid out as the weights).
  void backward(Device& device, const Tensor& weights, const Tensor& gradients, const Tensor& x,
                const Tensor& pre, const Tensor& d_outputs, const ProjectionWorkspace& workspace,
                const Tensor& dx) const;

 private:
  /// The factors in a unit's flat weights or gradients.
  Tensor a(const Tensor& unit) const { return unit.view(first_offset_, {pre_width(), in_}); }
  Tensor b(const Tensor& unit, std::int64_t part) const;
  Tensor full(const Tensor& unit, std::int64_t part) const;
  bool uniform() const;
  /// All outputs and all B factors as batches, where their widths agree.
  Tensor b_batch(const Tensor& unit) const { return unit.view(b_offsets_[0], {parts(), outs_[0], rank_}); }
  Tensor batch(const Tensor& outputs, std::int64_t rows) const {
    return outputs.view(0, {parts(), rows, outs_[0]});
  }

  void backward_full(Device& device, const Tensor& weights, const Tensor& gradients, const Tensor& x,
                     const Tensor& d_outputs, const Tensor& dx) const;
  void backward_b(Device& device, const Tensor& weights, const Tensor& gradients, const Tensor& d_outputs,
                  const Tensor& split, const Tensor& d_split) const;

  std::int64_t in_ = 0, rank_ = 0;
  std::vector<std::int64_t> outs_;
  std::int64_t first_offset_ = 0;        // of the first A factor (CoLA)
  std::vector<std::int64_t> b_offsets_;  // of each B factor (CoLA) or each W (full-rank)
};

}  // namespace cola
