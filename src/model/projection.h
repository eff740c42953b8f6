// Projection: the linear layers of a block that read the same input (q, k and v; gate and up; o; down),
// full-rank or as CoLA's auto-encoders. Forward and backward.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/kernels/norm.h"
#include "core/kernels/rope.h"
#include "core/tensor.h"
#include "model/parameter_table.h"

namespace cola {

/// Rank-wide memory that all projections share, for `rows` rows; empty for full-rank models.
struct ProjectionWorkspace {
  Tensor d_split;  // the gradient of silu(pre), [parts, rows, rank]
  Tensor d_pre;    // the gradient of pre, [rows, parts * rank]
};

/// What lies between a CoLA projection's two factors; empty for full-rank models.
struct NarrowActivations {
  Tensor pre;    // A x before the SiLU, [rows, parts * rank]
  Tensor split;  // silu(pre) as the B factors read it, [parts, rows, rank], flat
};

/// Of pre, with what the norm before can do without (FusedProductKernels::silu_product_backward).
struct NarrowGradients {
  Tensor d_pre;     // [rows, parts * rank]
  Tensor row_dots;  // or empty
};

/// y_p = W_p x, or y_p = B_p silu(A_p x) with the A_p multiplied as one matrix [parts * rank, in]. Widths are
/// storage widths. "outputs" is flat: [rows, out_0], then [rows, out_1], …
class Projection {
 public:
  /// `names` are parameter names without suffix, as in model.layers.0.self_attn.q_proj.
  Projection(const ParameterTable& table, const std::vector<std::string>& names);

  bool is_cola() const { return rank_ > 0; }
  std::int64_t parts() const { return static_cast<std::int64_t>(outs_.size()); }
  /// Columns of pre; 0 for full-rank.
  std::int64_t pre_width() const { return parts() * rank_; }
  /// Part p of flat outputs for `rows` rows: [rows, out_p].
  Tensor part(const Tensor& outputs, std::int64_t rows, std::int64_t part) const;

  /// x [rows, in]. Writes the narrow activations (CoLA) and the outputs.
  void forward(Device& device, const Tensor& weights, const Tensor& x, const NarrowActivations& narrow,
               const Tensor& outputs) const;

  /// The same, and sum = residual + outputs, both [rows, out]; of one part. sum has memory of its own.
  void forward_added(Device& device, const Tensor& weights, const Tensor& x, const NarrowActivations& narrow,
                     const Tensor& residual, const Tensor& sum) const;

  /// Overwrites dx [rows, in]; adds to the gradients (fp32, laid out as the weights).
  void backward(Device& device, const Tensor& weights, const Tensor& gradients, const Tensor& x,
                const NarrowActivations& narrow, const Tensor& d_outputs,
                const ProjectionWorkspace& workspace, const Tensor& dx) const;

  /// The same where x is what a norm wrote: goes on to the gradients of what the norm read. dx [rows, in] is
  /// memory that may be written to.
  void backward_through_norm(Device& device, const Tensor& weights, const Tensor& gradients, const Tensor& x,
                             const NarrowActivations& narrow, const Tensor& d_outputs,
                             const ProjectionWorkspace& workspace, const Tensor& dx,
                             const NormBackward& norm) const;

  // The halves of these, for who has something to do between them; CoLA only.

  /// x to the narrow activations.
  void apply_a(Device& device, const Tensor& weights, const Tensor& x, const NarrowActivations& narrow) const;
  /// silu(pre) again from pre, with the same bits.
  void restore_split(Device& device, const NarrowActivations& narrow) const;
  /// The narrow activations to the outputs.
  void apply_b(Device& device, const Tensor& weights, const NarrowActivations& narrow,
               const Tensor& outputs) const;
  /// The same with the first `rotated_parts` outputs rotated: queries and keys. All of them equally wide.
  void apply_b_rotated(Device& device, const Tensor& weights, const NarrowActivations& narrow,
                       const RotationTables& tables, std::int64_t rotated_parts, const Tensor& outputs) const;
  /// Whether all parts are equally wide.
  bool uniform() const;
  /// All of backward but dx, which is d_pre times a(weights).
  NarrowGradients backward_to_pre(Device& device, const Tensor& weights, const Tensor& gradients,
                                  const Tensor& x, const NarrowActivations& narrow, const Tensor& d_outputs,
                                  const ProjectionWorkspace& workspace) const;

  /// The factors in a unit's flat weights or gradients: all A [parts * rank, in], one B [out, rank].
  Tensor a(const Tensor& unit) const { return unit.view(first_offset_, {pre_width(), in_}); }
  Tensor b(const Tensor& unit, std::int64_t part) const;
  /// Part p of silu(pre): [rows, rank].
  Tensor split_part(const NarrowActivations& narrow, std::int64_t part) const {
    return split_of(narrow)[part];
  }

 private:
  Tensor full(const Tensor& unit, std::int64_t part) const;
  /// All outputs and all B factors as batches, where their widths agree.
  Tensor b_batch(const Tensor& unit) const { return unit.view(b_offsets_[0], {parts(), outs_[0], rank_}); }
  Tensor batch(const Tensor& outputs, std::int64_t rows) const {
    return outputs.view(0, {parts(), rows, outs_[0]});
  }

  void backward_full(Device& device, const Tensor& weights, const Tensor& gradients, const Tensor& x,
                     const Tensor& d_outputs, const Tensor& dx) const;
  Tensor split_of(const NarrowActivations& narrow) const {
    return narrow.split.view(0, {parts(), narrow.pre.dim(0), rank_});
  }

  std::int64_t in_ = 0, rank_ = 0;
  std::vector<std::int64_t> outs_;
  std::int64_t first_offset_ = 0;        // of the first A factor (CoLA)
  std::vector<std::int64_t> b_offsets_;  // of each B factor (CoLA) or each W (full-rank)
};

}  // namespace cola
