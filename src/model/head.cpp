#include "model/head.h"

#include <algorithm>

#include "core/kernels/cross_entropy.h"
#include "core/kernels/matmul.h"
#include "core/kernels/norm.h"
#include "core/kernels/reduce.h"

namespace cola {

HeadActivations allocate_head(Arena& arena, const ModelConfiguration& configuration, DataType type,
                              std::int64_t rows, std::int64_t logits_rows) {
  const std::int64_t width = configuration.hidden_size, chunk = std::min(rows, logits_rows);
  const MemoryUse use = MemoryUse::workspace;
  return {.input = arena.allocate(use, type, {rows, width}),
          .norm = arena.allocate(use, type, {rows, width}),
          .inverse_rms = arena.allocate(use, DataType::float32, {rows}),
          .logits = arena.allocate(use, type, {chunk, storage_width(configuration.vocab_size)}),
          .d_norm = arena.allocate(use, DataType::float32, {chunk, width}),
          .losses = arena.allocate(use, DataType::float32, {rows}),
          .loss_sum = arena.allocate(use, DataType::float64, {1})};
}

Head::Head(const ParameterTable& table)
    : norm_(table.find("model.norm.weight")),
      matrix_(table.find("lm_head.weight")),
      epsilon_(static_cast<float>(table.configuration().rms_norm_eps)) {}

Tensor Head::matrix_rows(const Tensor& unit, std::int64_t first, const Tensor& tile) const {
  return unit.view(matrix_.offset + first * matrix_.stored_columns, {tile.dim(1), matrix_.stored_columns});
}

// The logits' memory as dense tiles of columns: products with a vocabulary's width run slower than several
// narrow ones.
std::vector<Tensor> Head::tiles_of(const Device& device, const Tensor& logits, std::int64_t rows) const {
  const std::int64_t preferred = device.matmul().preferred_tile_width();
  const std::int64_t width = preferred > 0 ? preferred : matrix_.stored_rows;
  std::vector<Tensor> tiles;
  for (std::int64_t first = 0; first < matrix_.stored_rows; first += width)
    tiles.push_back(logits.view(first * rows, {rows, std::min(width, matrix_.stored_rows - first)}));
  return tiles;
}

Tensor Head::norm_of(const Tensor& unit) const {
  return unit.view(norm_.offset, {norm_.stored_columns});
}

void Head::normalize(const Pass& pass, const Tensor& weights, const HeadActivations& memory) const {
  const std::int64_t n = pass.rows();
  pass.device.norm().forward(memory.input.rows(0, n), norm_of(weights), epsilon_, memory.norm.rows(0, n),
                             memory.inverse_rms.rows(0, n));
}

void Head::read_logits(const Pass& pass, const Tensor& weights, const HeadActivations& memory,
                       const LogitsReader& reader) const {
  normalize(pass, weights, memory);
  const std::int64_t n = pass.rows(), chunk = memory.logits.dim(0);
  for (std::int64_t first = 0; first < n; first += chunk) {
    const std::int64_t last = std::min(n, first + chunk);
    const std::vector<Tensor> tiles = tiles_of(pass.device, memory.logits, last - first);
    for_each_tile(tiles, [&](const Tensor& tile, std::int64_t column) {
      pass.device.matmul().multiply(memory.norm.rows(first, last), Transpose::no,
                                    matrix_rows(weights, column, tile), Transpose::yes, tile, Accumulate::no);
    });
    reader(first, tiles);
  }
}

void Head::forward(const Pass& pass, const Tensor& weights, const Tensor& targets,
                   const HeadActivations& memory) const {
  read_logits(pass, weights, memory, [&](std::int64_t first, std::span<const Tensor> tiles) {
    const std::int64_t last = first + tiles.front().dim(0);
    pass.device.cross_entropy().forward(tiles, targets.rows(first, last), matrix_.rows,
                                        memory.losses.rows(first, last));
  });
  add_up_losses(pass, memory);
}

void Head::add_up_losses(const Pass& pass, const HeadActivations& memory) {
  pass.device.reduce().add_sum(memory.losses.rows(0, pass.rows()), memory.loss_sum);
}

void Head::forward_backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                            const Tensor& targets, const HeadActivations& memory,
                            const Workspace& workspace) const {
  const std::int64_t n = pass.rows();
  read_logits(pass, weights, memory, [&](std::int64_t first, std::span<const Tensor> tiles) {
    const std::int64_t last = first + tiles.front().dim(0);
    pass.device.cross_entropy().forward_backward(tiles, targets.rows(first, last), matrix_.rows,
                                                 memory.losses.rows(first, last));
    const Tensor norm = memory.norm.rows(first, last), d_norm = memory.d_norm.rows(0, last - first);
    const MatmulKernels& matmul = pass.device.matmul();
    for_each_tile(tiles, [&](const Tensor& tile, std::int64_t column) {
      matmul.multiply(tile, Transpose::yes, norm, Transpose::no, matrix_rows(gradients, column, tile),
                      Accumulate::yes);
      matmul.multiply(tile, Transpose::no, matrix_rows(weights, column, tile), Transpose::no, d_norm,
                      column == 0 ? Accumulate::no : Accumulate::yes);
    });
    pass.device.reduce().convert(d_norm, workspace.d_norm.rows(first, last));
  });
  add_up_losses(pass, memory);
  pass.device.fill_bytes(workspace.d_stream.data(), 0, workspace.d_stream.bytes());
  pass.device.norm().backward(workspace.d_norm,
                              {memory.input.rows(0, n), norm_of(weights), memory.inverse_rms.rows(0, n),
                               workspace.d_stream, norm_of(gradients)});
}

}  // namespace cola
