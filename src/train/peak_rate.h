// The rate of plain matrix products on a device: what a training step is measured against (MFU).
#pragma once

#include "core/device.h"
#include "core/tensor.h"

namespace cola {

/// Floating-point operations a second of a square product of `size`, the best of `repetitions`, inputs
/// random.
double measure_product_rate(Device& device, DataType type, std::int64_t size = 1024, int repetitions = 5);

}  // namespace cola
