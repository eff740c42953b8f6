// Attention alone, on the shape that a run's micro-batches have: to compare a GPU's ways of computing it.
#pragma once

#include <string>

#include "core/device.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// Seconds of one layer's attention, the best of several calls, and how the device computed it
/// (AttentionKernels::implementation).
struct AttentionSeconds {
  double forward = 0, backward = 0;
  std::string implementation;
};

AttentionSeconds measure_attention(const RunConfiguration& configuration, Device& device,
                                   int repetitions = 10);

}  // namespace cola
