// What a device can do at best: the rates that a training step is measured against.
#pragma once

#include <functional>

#include "core/device.h"
#include "core/tensor.h"

namespace cola {

/// The size of square product that shows what the device can do: large enough for every unit of it.
constexpr std::int64_t telling_product_size(DeviceKind kind) {
  return kind == DeviceKind::cuda ? 8192 : 2048;
}

/// A smaller one, for the start of a run: it tells nearly as much in an eighth of the time.
constexpr std::int64_t quick_product_size(DeviceKind kind) {
  return telling_product_size(kind) / 2;
}

/// Fills a tensor with random values around 0: products of constants draw less power and run faster than real
/// ones.
void fill_with_random(Device& device, const Tensor& tensor);

/// The shortest of `repetitions` calls, in seconds of the device's time, after one that warms up.
double best_seconds(Device& device, int repetitions, const std::function<void()>& work);

/// Floating-point operations a second of a square product of `size`, the best of `repetitions`, inputs
/// random.
double measure_product_rate(Device& device, DataType type, std::int64_t size, int repetitions = 5);

/// Bytes a second, read and written together, of a copy of `bytes` on the device, the best of `repetitions`.
double measure_copy_rate(Device& device, std::size_t bytes, int repetitions = 5);

}  // namespace cola
