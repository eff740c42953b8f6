#include "model/transformer.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/kernels/attention.h"
#include "core/kernels/cross_entropy.h"
#include "core/kernels/embedding.h"

namespace cola {

namespace {

std::size_t planned_bytes(const ModelConfiguration& configuration, const TransformerOptions& options) {
  Arena counting;
  allocate_memory(counting, configuration, options);
  return counting.used();
}

void require_computable(const ModelConfiguration& configuration, const Device& device) {
  const std::int64_t largest = device.attention().largest_head_dim();
  if (configuration.head_dim() > largest)
    throw UsageError(
        "model.num_attention_heads: {} heads of a hidden_size of {} are {} wide, and {} computes heads of at "
        "most {}",
        configuration.num_attention_heads, configuration.hidden_size, configuration.head_dim(), device.name(),
        largest);
}

Buffer make_buffer(Device& device, const ModelConfiguration& configuration,
                   const TransformerOptions& options) {
  require_computable(configuration, device);
  return Buffer(device, planned_bytes(configuration, options));
}

TransformerMemory allocate_in(const Buffer& buffer, const ModelConfiguration& configuration,
                              const TransformerOptions& options) {
  Arena arena(buffer.data(), buffer.bytes());
  return allocate_memory(arena, configuration, options);
}

// Angle of position t and pair i: t * theta^(-2i / head_dim).
void fill_rotation_tables(Device& device, const ModelConfiguration& configuration,
                          const RotationTables& tables) {
  const std::int64_t sequence = tables.positions(), half = tables.half_head_dim();
  std::vector<float> cosine, sine;
  for (std::int64_t t = 0; t < sequence; ++t)
    for (std::int64_t i = 0; i < half; ++i) {
      const double exponent = -static_cast<double>(i) / static_cast<double>(half);
      const double angle = static_cast<double>(t) * std::pow(configuration.rope_theta, exponent);
      cosine.push_back(static_cast<float>(std::cos(angle)));
      sine.push_back(static_cast<float>(std::sin(angle)));
    }
  device.copy_from_host(tables.cosines.data(), cosine.data(), tables.cosines.bytes());
  device.copy_from_host(tables.sines.data(), sine.data(), tables.sines.bytes());
}

void require_ids(std::span<const std::int32_t> ids, std::int64_t vocabulary, std::int32_t smallest,
                 const char* what) {
  for (const std::int32_t id : ids)
    if (id < smallest || id >= vocabulary)
      throw Error("{} id {} lies outside the vocabulary of {}", what, id, vocabulary);
}

// A tensor of either type as fp32 in host memory.
std::vector<float> to_host(Device& device, const Tensor& tensor) {
  std::vector<std::byte> bytes(tensor.bytes());
  device.copy_to_host(bytes.data(), tensor.data(), tensor.bytes());
  const auto count = static_cast<std::size_t>(tensor.elements());
  std::vector<float> values(count);
  const auto* half = reinterpret_cast<const bfloat16*>(bytes.data());
  const auto* single = reinterpret_cast<const float*>(bytes.data());
  for (std::size_t i = 0; i < count; ++i)
    values[i] = tensor.type() == DataType::bfloat16 ? static_cast<float>(half[i]) : single[i];
  return values;
}

}  // namespace

TransformerMemory allocate_memory(Arena& arena, const ModelConfiguration& configuration,
                                  const TransformerOptions& options) {
  const std::int64_t rows = options.micro_batch * options.sequence_length,
                     half = configuration.head_dim() / 2;
  TransformerMemory memory;
  memory.blocks = allocate_activations(arena, configuration, options.recompute, options.compute_type, rows);
  memory.workspace = allocate_workspace(arena, configuration, options.compute_type, rows);
  memory.head = allocate_head(arena, configuration, options.compute_type, rows, options.head_rows);
  memory.ids = arena.allocate(MemoryUse::workspace, DataType::int32, {rows});
  memory.targets = arena.allocate(MemoryUse::workspace, DataType::int32, {rows});
  for (Tensor* table : {&memory.rotation.cosines, &memory.rotation.sines})
    *table = arena.allocate(MemoryUse::workspace, DataType::float32, {options.sequence_length, half});
  return memory;
}

std::int64_t count_targets(std::span<const std::int32_t> targets) {
  return std::count_if(targets.begin(), targets.end(), [](std::int32_t id) { return id != ignored_target; });
}

Transformer::Transformer(Device& device, const ParameterTable& table, const TransformerOptions& options)
    : device_(device),
      table_(table),
      options_(options),
      widths_(table.configuration()),
      memory_buffer_(make_buffer(device, table.configuration(), options)),
      memory_(allocate_in(memory_buffer_, table.configuration(), options)),
      head_(table),
      recorded_passes_(device.make_repeated_work()) {
  for (std::int64_t layer = 0; layer < table.configuration().num_hidden_layers; ++layer)
    blocks_.emplace_back(table, layer);
  fill_rotation_tables(device, table.configuration(), memory_.rotation);
  clear_loss();
}

void Transformer::clear_loss() {
  device_.fill_bytes(memory_.head.loss_sum.data(), 0, memory_.head.loss_sum.bytes());
}

double Transformer::take_loss() {
  double loss = 0;
  device_.copy_to_host(&loss, memory_.head.loss_sum.data(), sizeof(loss));
  clear_loss();
  return loss;
}

// Puts ids and targets on the device and says what the pass works on.
Pass Transformer::begin(const TokenBatch& batch) {
  const std::int64_t rows = batch.batch * batch.sequence, vocabulary = table_.configuration().vocab_size;
  if (batch.sequence > options_.sequence_length || rows > memory_.ids.dim(0) ||
      static_cast<std::int64_t>(batch.inputs.size()) != rows)
    throw Error("a batch of {} x {} ids does not fit a model made for {} x {}", batch.batch, batch.sequence,
                options_.micro_batch, options_.sequence_length);
  require_ids(batch.inputs, vocabulary, 0, "input");
  require_ids(batch.targets, vocabulary, ignored_target, "target");
  device_.copy_from_host(memory_.ids.data(), batch.inputs.data(), batch.inputs.size_bytes());
  device_.copy_from_host(memory_.targets.data(), batch.targets.data(), batch.targets.size_bytes());
  return {device_, batch.batch, batch.sequence, memory_.rotation.first_positions(batch.sequence)};
}

// Embedding and blocks, to the head's input. Without a backward pass to come, all blocks use the first one's
// activations.
void Transformer::forward_blocks(ParameterStore& store, const Pass& pass, bool training) {
  const ProfileRange range(device_, "forward");
  const std::int64_t n = pass.rows(), vocabulary = storage_width(table_.configuration().vocab_size);
  const std::size_t layers = blocks_.size();
  const auto activations = [&](std::size_t layer) -> const BlockActivations& {
    return memory_.blocks[training ? layer : 0];
  };
  const Tensor table = store.acquire_weights(0).view(0, {vocabulary, widths_.hidden});
  device_.embedding().forward(memory_.ids.rows(0, n), table, activations(0).input.rows(0, n));
  store.release_weights(0);
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const int unit = static_cast<int>(layer) + 1;
    const Tensor& next = layer + 1 < layers ? activations(layer + 1).input : memory_.head.input;
    blocks_[layer].forward(pass, store.acquire_weights(unit), first_rows(activations(layer), widths_, n),
                           next.rows(0, n));
    store.release_weights(unit);
  }
}

void Transformer::backward_blocks(ParameterStore& store, const Pass& pass) {
  const ProfileRange range(device_, "backward");
  const std::int64_t n = pass.rows(), vocabulary = storage_width(table_.configuration().vocab_size);
  const Workspace workspace = first_rows(memory_.workspace, n);
  for (int unit = static_cast<int>(blocks_.size()); unit > 0; --unit) {
    const auto layer = static_cast<std::size_t>(unit - 1);
    const BlockActivations kept = first_rows(memory_.blocks[layer], widths_, n);
    const Tensor weights = store.acquire_weights(unit);
    blocks_[layer].recompute(options_.recompute, pass, weights, kept);
    blocks_[layer].backward(pass, weights, store.gradients(unit), kept, workspace);
    store.release_weights(unit);
    store.gradients_ready(unit);
  }
  device_.embedding().backward(memory_.ids.rows(0, n), workspace.d_stream,
                               store.gradients(0).view(0, {vocabulary, widths_.hidden}));
  store.gradients_ready(0);
}

void Transformer::forward_backward(ParameterStore& store, const TokenBatch& batch) {
  const Pass pass = begin(batch);
  if (can_be_recorded(store, pass))
    recorded_passes_->run([&] { run_passes(store, pass); });
  else
    run_passes(store, pass);
}

// A recording holds for one shape of batch, and must not hold what a store does for one micro-batch only.
bool Transformer::can_be_recorded(const ParameterStore& store, const Pass& pass) const {
  return options_.record_passes && store.next_pass_is_local() && pass.batch == options_.micro_batch &&
         pass.sequence == options_.sequence_length;
}

void Transformer::run_passes(ParameterStore& store, const Pass& pass) {
  const std::int64_t n = pass.rows();
  forward_blocks(store, pass, true);
  {
    const ProfileRange range(device_, "head");
    const Tensor weights = store.acquire_weights(head_unit());
    head_.forward_backward(pass, weights, store.gradients(head_unit()), memory_.targets.rows(0, n),
                           memory_.head, first_rows(memory_.workspace, n));
    store.release_weights(head_unit());
    store.gradients_ready(head_unit());
  }
  backward_blocks(store, pass);
}

void Transformer::forward(ParameterStore& store, const TokenBatch& batch) {
  const Pass pass = begin(batch);
  forward_blocks(store, pass, false);
  head_.forward(pass, store.acquire_weights(head_unit()), memory_.targets.rows(0, pass.rows()), memory_.head);
  store.release_weights(head_unit());
}

std::vector<float> Transformer::logits(ParameterStore& store, const TokenBatch& batch, std::int64_t first,
                                       std::int64_t last) {
  const Pass pass = begin(batch);
  const std::int64_t vocabulary = table_.configuration().vocab_size;
  std::vector<float> result(static_cast<std::size_t>((last - first) * vocabulary));
  forward_blocks(store, pass, false);
  const auto collect = [&](std::int64_t first_row, std::span<const Tensor> tiles) {
    for_each_tile(tiles, [&](const Tensor& tile, std::int64_t column) {
      const std::vector<float> values = to_host(device_, tile);
      const std::int64_t width = tile.dim(1), real = std::min(width, vocabulary - column);
      for (std::int64_t row = std::max(first, first_row); row < std::min(last, first_row + tile.dim(0));
           ++row)
        std::copy_n(values.begin() + (row - first_row) * width, real,
                    result.begin() + (row - first) * vocabulary + column);
    });
  };
  head_.read_logits(pass, store.acquire_weights(head_unit()), memory_.head, collect);
  store.release_weights(head_unit());
  return result;
}

}  // namespace cola
