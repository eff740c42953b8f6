// The memory of a forward and backward pass: what each block keeps, and the workspace that blocks share.
// Allocated once from an arena, in an order that the configuration alone decides.
#pragma once

#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "core/device.h"
#include "core/kernels/rope.h"
#include "model/model_configuration.h"
#include "model/projection.h"

namespace cola {

/// The rows a pass works on, and the rotation tables for its positions.
struct Pass {
  Device& device;
  std::int64_t batch = 0, sequence = 0;
  RotationTables rotation;  // of `sequence` positions
  std::int64_t rows() const { return batch * sequence; }
};

/// One block's activations for n rows (n = batch * sequence, d hidden size, f stored intermediate size, r
/// stored rank).
struct BlockActivations {
  Tensor input;                  // residual stream before the block [n, d]
  Tensor attention_norm;         // its norm [n, d]
  Tensor attention_inverse_rms;  // [n] fp32
  Tensor qkv_pre;                // A_q x, A_k x, A_v x before the SiLU [n, 3r]; CoLA only, as the other _pre
  Tensor qkv_split;              // their SiLU [3, n, r], flat; CoLA only, as the other _split
  Tensor qkv;                    // rotated queries [n, d], keys and values [n, kv width], flat
  Tensor attention_out;          // [n, d]
  Tensor log_sum_exp;            // [batch, heads, sequence] fp32
  Tensor output_pre;             // [n, r]
  Tensor output_split;           // [n, r]
  Tensor middle;                 // residual stream between attention and MLP [n, d]
  Tensor mlp_norm;               // [n, d]
  Tensor mlp_inverse_rms;        // [n] fp32
  Tensor gate_up_pre;            // [n, 2r]
  Tensor gate_up_split;          // [2, n, r], flat
  Tensor gate_up;                // [n, f] twice, flat; overwritten by its gradient in the backward pass
  Tensor gated;                  // what the down projection reads [n, f]
  Tensor down_pre;               // [n, r]
  Tensor down_split;             // [n, r]
};

/// What all blocks share. d_ tensors are used in the backward pass only.
struct Workspace {
  Tensor d_stream;     // gradient of the residual stream [n, d]
  Tensor d_norm;       // gradient of a norm's output [n, d]
  Tensor d_attention;  // gradient of attention's output [n, d]
  Tensor d_qkv;        // flat as qkv
  Tensor d_gated;      // [n, f]
  ProjectionWorkspace projection;
};

/// Storage widths that decide every shape.
struct BlockWidths {
  std::int64_t hidden, kv, intermediate, rank, heads;  // rank 0 for full-rank models
  explicit BlockWidths(const ModelConfiguration& configuration);
};

/// Activations of every block for at most `rows` rows, in `type` where it says nothing else. What `recompute`
/// does not keep is one tensor that all blocks share. Throws Error if the arena is full, as all of these do.
std::vector<BlockActivations> allocate_activations(Arena& arena, const ModelConfiguration& configuration,
                                                   Recompute recompute, DataType type, std::int64_t rows);

/// The workspace of passes over at most `rows` rows, in `type`, whatever the rows' split into sequences.
Workspace allocate_workspace(Arena& arena, const ModelConfiguration& configuration, DataType type,
                             std::int64_t rows);

/// The same for the first `rows` rows alone, for passes over fewer sequences than there is room for.
BlockActivations first_rows(const BlockActivations& all, const BlockWidths& widths, std::int64_t rows);
Workspace first_rows(const Workspace& all, std::int64_t rows);

}  // namespace cola
