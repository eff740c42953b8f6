// The products of a CoLA layer that a device joins with what stands around them: what joining saves.
#pragma once

#include <string>
#include <vector>

#include "core/device.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// Multiprocessors that are held to measure what a product costs beside a collective, as NCCL may hold them.
inline constexpr int held_multiprocessors = 16;

/// Seconds of one layer's product with the work around it, the best of several calls: by the device's
/// FusedProductKernels, and one after the other.
struct FusedProductSeconds {
  std::string name;
  double joined = 0, apart = 0;
  /// Joined, cut up as beside a collective, with all multiprocessors; and with some of them held, not cut up
  /// and cut up. 0 where the device joins nothing.
  double cut_up = 0, held = 0, held_cut_up = 0;
};

/// For the rows of a run's micro-batch and the widths of its model. None for a full-rank model, and for one
/// whose queries, keys and values differ in width: their products are not joined.
std::vector<FusedProductSeconds> measure_fused_products(const RunConfiguration& configuration, Device& device,
                                                        int repetitions = 10);

}  // namespace cola
