// Head: final norm, language-model head and cross-entropy, a chunk of rows at a time so that the logits of a
// whole batch never exist.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "model/activations.h"
#include "model/parameter_table.h"

namespace cola {

/// Rows whose logits exist at a time: large enough for products to run at full speed, small enough that the
/// logits stay a small part of the memory. A GPU needs more rows for the same.
constexpr std::int64_t default_head_rows = 512, cuda_head_rows = 4096;

/// Memory of the head for at most n rows.
struct HeadActivations {
  Tensor input;        // residual stream after the last block [n, d]
  Tensor norm;         // [n, d]
  Tensor inverse_rms;  // [n] fp32
  Tensor logits;       // a chunk of rows times the stored vocabulary, as tiles of columns
  Tensor d_norm;       // [chunk, d] fp32, summed over the tiles
  Tensor losses;       // [n] fp32
  Tensor loss_sum;     // [1] fp64: of all passes until it is cleared
};

/// Memory in `type`, where it says nothing else, for passes over at most `rows` rows, whose logits exist for
/// at most `logits_rows` rows at a time: their chunk is the smaller of the two. Throws Error if the arena is
/// full.
HeadActivations allocate_head(Arena& arena, const ModelConfiguration& configuration, DataType type,
                              std::int64_t rows, std::int64_t logits_rows);

/// Calls visit(tile, first column) for tiles of columns, from left to right.
template <typename Visit>
void for_each_tile(std::span<const Tensor> tiles, Visit&& visit) {
  std::int64_t column = 0;
  for (const Tensor& tile : tiles) {
    visit(tile, column);
    column += tile.dim(1);
  }
}

class Head {
 public:
  explicit Head(const ParameterTable& table);

  /// Reads memory.input, as all do. Writes the loss of every row, and adds their sum to memory.loss_sum.
  /// targets [n] int32.
  void forward(const Pass& pass, const Tensor& weights, const Tensor& targets,
               const HeadActivations& memory) const;

  /// The same; also writes the gradient of the losses' sum to workspace.d_stream [n, d] and adds to the
  /// gradients.
  void forward_backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                        const Tensor& targets, const HeadActivations& memory,
                        const Workspace& workspace) const;

  /// Hands over the logits of the pass's rows chunk by chunk: the first row, and tiles [rows, width]
  /// of the stored vocabulary's columns, in the compute type. They are overwritten by the next chunk.
  using LogitsReader = std::function<void(std::int64_t first_row, std::span<const Tensor> tiles)>;
  void read_logits(const Pass& pass, const Tensor& weights, const HeadActivations& memory,
                   const LogitsReader& reader) const;

 private:
  static void add_up_losses(const Pass& pass, const HeadActivations& memory);
  void normalize(const Pass& pass, const Tensor& weights, const HeadActivations& memory) const;
  std::vector<Tensor> tiles_of(const Device& device, const Tensor& logits, std::int64_t rows) const;
  /// The rows of the head's matrix that belong to `tile`, which begins at column `first`.
  Tensor matrix_rows(const Tensor& unit, std::int64_t first, const Tensor& tile) const;
  Tensor norm_of(const Tensor& unit) const;

  const Parameter &norm_, &matrix_;
  float epsilon_;
};

}  // namespace cola
