#include "train/peak_rate.h"

#include <algorithm>
#include <vector>

#include "core/buffer.h"
#include "core/kernels/matmul.h"
#include "core/kernels/reduce.h"
#include "core/philox.h"

namespace cola {

void fill_with_random(Device& device, const Tensor& tensor) {
  const std::int64_t piece = std::min<std::int64_t>(tensor.elements(), std::int64_t{1} << 20);
  std::vector<float> random(static_cast<std::size_t>(piece));
  for (std::size_t i = 0; i < random.size(); ++i)
    random[i] = static_cast<float>(philox(1, i)[0]) * 0x1p-32f - 0.5f;
  const Buffer staging(device, random.size() * sizeof(float));
  device.copy_from_host(staging.data(), random.data(), staging.bytes());
  for (std::int64_t first = 0; first < tensor.elements(); first += piece) {
    const std::int64_t count = std::min(piece, tensor.elements() - first);
    device.reduce().convert(staging.tensor(DataType::float32, count), tensor.view(first, {count}));
  }
  device.synchronize();
}

double best_seconds(Device& device, int repetitions, const std::function<void()>& work) {
  double best = 0;
  for (int repetition = 0; repetition <= repetitions; ++repetition) {
    const auto begin = device.mark_time();
    work();
    const double seconds = device.mark_time()->seconds_since(*begin);
    if (repetition == 1 || (repetition > 1 && seconds < best)) best = seconds;
  }
  return best;
}

double measure_product_rate(Device& device, DataType type, std::int64_t size, int repetitions) {
  const std::int64_t elements = size * size;
  const std::size_t bytes = static_cast<std::size_t>(elements) * size_of(type);
  const Buffer input(device, bytes), output(device, bytes);
  const Tensor a = input.tensor(type, elements).reshape({size, size}),
               c = output.tensor(type, elements).reshape({size, size});
  fill_with_random(device, a);
  const double seconds = best_seconds(device, repetitions, [&] {
    device.matmul().multiply(a, Transpose::no, a, Transpose::yes, c, Accumulate::no);
  });
  return 2.0 * static_cast<double>(elements) * static_cast<double>(size) / seconds;
}

double measure_copy_rate(Device& device, std::size_t bytes, int repetitions) {
  const Buffer from(device, bytes), to(device, bytes);
  device.fill_bytes(from.data(), 1, bytes);
  const double seconds =
      best_seconds(device, repetitions, [&] { device.copy_on_device(to.data(), from.data(), bytes); });
  return 2.0 * static_cast<double>(bytes) / seconds;
}

}  // namespace cola
