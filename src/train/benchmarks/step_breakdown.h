// StepBreakdown: where the time of a training step goes, kernel by kernel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/device.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// All calls of one kernel in one step.
struct KernelShare {
  std::string name;
  std::int64_t calls = 0;
  double seconds = 0, operations = 0, bytes = 0;  // bytes: of its arguments, what it moves at least
};

struct StepBreakdown {
  std::vector<KernelShare> kernels;        // the longest first
  std::vector<KernelShare> products;       // the matrix products among them, one entry a shape
  double kernel_seconds = 0;               // of all kernels
  double step_seconds = 0;                 // of the observed step, gaps between kernels included
  double product_rate = 0, copy_rate = 0;  // the device's limits in the same run: FLOP/s, bytes/s
  /// Share of the kernels' time that is not in matrix products; element-wise work that a product's own kernel
  /// does counts as part of it.
  double share_outside_products() const;
};

/// Observes one step (one micro-batch on one rank) of a model with random tokens, after `warm_up` others.
StepBreakdown measure_step_breakdown(const RunConfiguration& configuration, Device& device, int warm_up = 2);

}  // namespace cola
