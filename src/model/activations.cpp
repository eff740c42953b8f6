#include "model/activations.h"

#include <algorithm>

namespace cola {

namespace {

enum class Keep { always, unless_block, without_recompute };

// Whether a policy keeps a tensor for every block; others are shared by all blocks and computed again.
bool keeps(Recompute recompute, Keep keep) {
  if (keep == Keep::always || recompute == Recompute::none) return true;
  return keep == Keep::unless_block && recompute == Recompute::cola_m;
}

struct Field {
  Tensor BlockActivations::*tensor;
  Keep keep;
  DataType type;
  std::int64_t columns;  // 0: the model does not have it
};

// Every activation with its width and its place in the recompute policies: the one list behind allocation and
// views.
std::vector<Field> fields(const BlockWidths& w, DataType type) {
  using A = BlockActivations;
  const DataType fp32 = DataType::float32;
  return {{&A::input, Keep::always, type, w.hidden},
          {&A::attention_norm, Keep::without_recompute, type, w.hidden},
          {&A::attention_inverse_rms, Keep::unless_block, fp32, 1},
          {&A::qkv_pre, Keep::unless_block, type, 3 * w.rank},
          {&A::qkv_split, Keep::without_recompute, type, 3 * w.rank},
          {&A::qkv, Keep::without_recompute, type, w.hidden + 2 * w.kv},
          {&A::attention_out, Keep::unless_block, type, w.hidden},
          {&A::log_sum_exp, Keep::unless_block, fp32, w.heads},
          {&A::output_pre, Keep::unless_block, type, w.rank},
          {&A::output_split, Keep::without_recompute, type, w.rank},
          {&A::middle, Keep::unless_block, type, w.hidden},
          {&A::mlp_norm, Keep::without_recompute, type, w.hidden},
          {&A::mlp_inverse_rms, Keep::unless_block, fp32, 1},
          {&A::gate_up_pre, Keep::unless_block, type, 2 * w.rank},
          {&A::gate_up_split, Keep::without_recompute, type, 2 * w.rank},
          {&A::gate_up, Keep::without_recompute, type, 2 * w.intermediate},
          {&A::gated, Keep::without_recompute, type, w.intermediate},
          {&A::down_pre, Keep::unless_block, type, w.rank},
          {&A::down_split, Keep::without_recompute, type, w.rank}};
}

}  // namespace

BlockWidths::BlockWidths(const ModelConfiguration& configuration)
    : hidden(configuration.hidden_size),
      kv(configuration.kv_width()),
      intermediate(storage_width(configuration.intermediate_size)),
      rank(configuration.projection == ProjectionKind::cola ? storage_width(configuration.rank) : 0),
      heads(configuration.num_attention_heads) {}

std::vector<BlockActivations> allocate_activations(Arena& arena, const ModelConfiguration& configuration,
                                                   Recompute recompute, DataType type, std::int64_t rows) {
  std::vector<BlockActivations> blocks(static_cast<std::size_t>(configuration.num_hidden_layers));
  for (const Field& field : fields(BlockWidths(configuration), type)) {
    if (field.columns == 0) continue;
    const bool kept = keeps(recompute, field.keep);
    Tensor shared;
    if (!kept) shared = arena.allocate(MemoryUse::workspace, field.type, {rows, field.columns});
    for (BlockActivations& block : blocks)
      block.*field.tensor =
          kept ? arena.allocate(MemoryUse::activations, field.type, {rows, field.columns}) : shared;
  }
  return blocks;
}

Workspace allocate_workspace(Arena& arena, const ModelConfiguration& configuration, DataType type,
                             std::int64_t rows) {
  const BlockWidths w(configuration);
  Workspace workspace;
  workspace.d_stream = arena.allocate(MemoryUse::workspace, type, {rows, w.hidden});
  workspace.d_norm = arena.allocate(MemoryUse::workspace, type, {rows, w.hidden});
  // Attention and MLP are never under way at the same time: their gradients share memory.
  const std::int64_t attention_width = 2 * w.hidden + 2 * w.kv;
  const Tensor shared =
      arena.allocate(MemoryUse::workspace, type, {rows, std::max(attention_width, w.intermediate)});
  workspace.d_attention = shared.view(0, {rows, w.hidden});
  workspace.d_qkv = shared.view(rows * w.hidden, {rows, w.hidden + 2 * w.kv});
  workspace.d_gated = shared.view(0, {rows, w.intermediate});
  if (w.rank == 0) return workspace;
  workspace.projection.d_split = arena.allocate(MemoryUse::workspace, type, {rows, 3 * w.rank});
  workspace.projection.d_pre = arena.allocate(MemoryUse::workspace, type, {rows, 3 * w.rank});
  return workspace;
}

BlockActivations first_rows(const BlockActivations& all, const BlockWidths& widths, std::int64_t rows) {
  BlockActivations narrow = all;
  for (const Field& field : fields(widths, all.input.type())) {
    Tensor& tensor = narrow.*field.tensor;
    if (!tensor.empty()) tensor = tensor.rows(0, rows);
  }
  return narrow;
}

Workspace first_rows(const Workspace& all, std::int64_t rows) {
  Workspace narrow = all;
  for (Tensor* tensor :
       {&narrow.d_stream, &narrow.d_norm, &narrow.d_attention, &narrow.d_qkv, &narrow.d_gated})
    *tensor = tensor->rows(0, rows);
  return narrow;
}

}  // namespace cola
