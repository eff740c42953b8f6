// What a run's configuration means for the model's passes on a kind of device.
#pragma once

#include <algorithm>
#include <cstdint>
#include "core/device.h"

#include "model/head.h"
#include "model/transformer.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// Whether passes are recorded as CUDA graphs; `auto` does so where a micro-batch's kernels are so short that
/// a GPU would wait for their launches.
inline bool records_passes(const RunConfiguration& configuration, DeviceKind device) {
  if (device != DeviceKind::cuda || configuration.train.cuda_graphs == RecordedPasses::off) return false;
  constexpr std::int64_t short_kernels = std::int64_t{16384} * 1024;  // elements of the residual stream
  const std::int64_t rows = configuration.train.micro_batch * configuration.data.sequence_length;
  return configuration.train.cuda_graphs == RecordedPasses::on ||
         rows * configuration.model.hidden_size <= short_kernels;
}

/// How many of a step's micro-batches can be recorded: of several ranks not the last, whose gradients are
/// reduced, nor with ZeRO stage 1 the first, whose weights arrive; with stages 2 and 3 none.
inline std::int64_t recordable_passes(std::int64_t micro_batches, int zero_stage, int ranks) {
  if (ranks == 1) return micro_batches;
  return zero_stage >= 2 ? 0 : std::max<std::int64_t>(0, micro_batches - 1 - zero_stage);
}

inline TransformerOptions transformer_options(const RunConfiguration& configuration, DataType type,
                                              DeviceKind device) {
  return {.micro_batch = configuration.train.micro_batch,
          .sequence_length = configuration.data.sequence_length,
          .compute_type = type,
          .recompute = configuration.train.recompute,
          .head_rows = device == DeviceKind::cuda ? cuda_head_rows : default_head_rows,
          .record_passes = records_passes(configuration, device)};
}

}  // namespace cola
