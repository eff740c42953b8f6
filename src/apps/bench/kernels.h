// cola_bench kernels: where the time of a step goes.
#pragma once

#include "core/device.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// Prints a table of the kernels of one step on this device, each with its share and how near it comes to the
/// device's limits.
void print_step_breakdown(const RunConfiguration& configuration, Device& device);

/// Prints a table of the products that this device joins with what stands around them, next to the same one
/// after the other; nothing where it joins none, or the model has none.
void print_fused_products(const RunConfiguration& configuration, Device& device);

/// Prints a table of the ways in which GPU number `gpu` can compute this configuration's attention, as
/// train.attention chooses them.
void print_attention_choices(const RunConfiguration& configuration, int gpu);

}  // namespace cola
