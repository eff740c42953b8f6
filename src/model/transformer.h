// Transformer: the LLaMA-shaped language model of CoLA (arXiv 2502.10940), full-rank or with low-rank
// auto-encoders: embedding, blocks, head. Weights and gradients live in a ParameterStore, activations in an
// arena.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/device.h"
#include "core/kernels/rope.h"
#include "model/activations.h"
#include "model/block.h"
#include "model/head.h"
#include "model/parameter_store.h"
#include "model/parameter_table.h"

namespace cola {

struct TransformerOptions {
  std::int64_t micro_batch = 1, sequence_length = 1;  // the most that a pass is given
  DataType compute_type = DataType::float32;
  Recompute recompute = Recompute::none;
  std::int64_t head_rows = default_head_rows;  // rows whose logits exist at a time
  /// Whether whole passes are recorded and started as one piece (RepeatedWork): pays where kernels are short.
  bool record_passes = false;
};

/// All memory of a model's passes, in one allocation sequence: with a counting arena, the plan; otherwise the
/// run.
struct TransformerMemory {
  std::vector<BlockActivations> blocks;
  Workspace workspace;
  HeadActivations head;
  Tensor ids, targets;      // [n] int32
  RotationTables rotation;  // of sequence_length positions
};
/// Throws Error if the arena is full.
TransformerMemory allocate_memory(Arena& arena, const ModelConfiguration& configuration,
                                  const TransformerOptions& options);

/// `batch` sequences, row after row: inputs and targets [batch * sequence] ids; a target may be
/// ignored_target (-1).
struct TokenBatch {
  std::span<const std::int32_t> inputs, targets;
  std::int64_t batch = 0, sequence = 0;
};

class Transformer {
 public:
  /// Allocates all activation memory. `device` and `table` must outlive the model. Throws UsageError if the
  /// device cannot compute heads as wide as the model's, and DeviceError if it has not enough memory.
  Transformer(Device& device, const ParameterTable& table, const TransformerOptions& options);

  // Passes over a batch. They throw Error, before anything is computed, for a batch of more rows or longer
  // sequences than the options allow, of another number of inputs, or with an id outside the vocabulary;
  // DeviceError if the device fails; and what the store throws.

  /// Adds the gradient of the losses' sum, over all targets that are not ignored, to the store's gradients,
  /// and that sum to what take_loss tells. Does not wait for the device.
  void forward_backward(ParameterStore& store, const TokenBatch& batch);

  /// Adds the losses' sum alone.
  void forward(ParameterStore& store, const TokenBatch& batch);

  /// Logits of rows [first, last) of a batch (its targets may be empty) as fp32 [last - first, vocabulary],
  /// in host memory. Waits for the device.
  std::vector<float> logits(ParameterStore& store, const TokenBatch& batch, std::int64_t first,
                            std::int64_t last);

  /// The sum of the losses of all passes since it was last asked for. Waits for them. Throws DeviceError if
  /// one of them failed on the device.
  double take_loss();

  /// Bytes of activations, workspace and tables.
  std::size_t bytes() const { return memory_buffer_.bytes(); }

 private:
  Pass begin(const TokenBatch& batch);
  bool can_be_recorded(const ParameterStore& store, const Pass& pass) const;
  void run_passes(ParameterStore& store, const Pass& pass);
  void forward_blocks(ParameterStore& store, const Pass& pass, bool training);
  void backward_blocks(ParameterStore& store, const Pass& pass);
  void clear_loss();
  int head_unit() const { return static_cast<int>(blocks_.size()) + 1; }

  Device& device_;
  const ParameterTable& table_;
  TransformerOptions options_;
  BlockWidths widths_;
  Buffer memory_buffer_;
  TransformerMemory memory_;
  std::vector<Block> blocks_;
  Head head_;
  std::unique_ptr<RepeatedWork> recorded_passes_;  // of full micro-batches
};

/// Number of targets that are not ignored.
std::int64_t count_targets(std::span<const std::int32_t> targets);

}  // namespace cola
