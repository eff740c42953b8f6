#include "train/peak_rate.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/buffer.h"
#include "core/kernels/matmul.h"
#include "core/kernels/reduce.h"
#include "core/philox.h"

namespace cola {

double measure_product_rate(Device& device, DataType type, std::int64_t size, int repetitions) {
  const std::int64_t elements = size * size;
  const std::size_t bytes = static_cast<std::size_t>(elements) * size_of(type);
  Buffer inputs(device, bytes), output(device, bytes),
      staging(device, static_cast<std::size_t>(elements) * sizeof(float));
  std::vector<float> random(static_cast<std::size_t>(elements));
  for (std::size_t i = 0; i < random.size(); ++i)
    random[i] = static_cast<float>(philox(1, i)[0]) * 0x1p-32f - 0.5f;
  device.copy_from_host(staging.data(), random.data(), staging.bytes());
  const Tensor a = inputs.tensor(type, elements).reshape({size, size}),
               c = output.tensor(type, elements).reshape({size, size});
  device.reduce().convert(staging.tensor(DataType::float32, elements), a);
  double best = 0;
  for (int repetition = 0; repetition <= repetitions; ++repetition) {  // the first one warms up
    device.synchronize();
    const auto start = std::chrono::steady_clock::now();
    device.matmul().multiply(a, Transpose::no, a, Transpose::yes, c, Accumulate::no);
    device.synchronize();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (repetition > 0)
      best = std::max(best, 2.0 * static_cast<double>(elements) * static_cast<double>(size) / seconds);
  }
  return best;
}

}  // namespace cola
