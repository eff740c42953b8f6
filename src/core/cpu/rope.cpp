#include "core/cpu/kernels.h"
#include "core/cpu/parallel.h"

namespace cola::cpu {

void CpuRope::rotate(const Tensor& x, const RotationTables& tables, Rotation rotation) const {
  const std::int64_t rows = x.dim(0), width = x.dim(1), sequence = tables.positions(),
                     half = tables.half_head_dim();
  require(width % (2 * half) == 0, "rope: the width is no multiple of the head dimension");
  const float direction = rotation == Rotation::forward ? 1.0f : -1.0f;
  for_type(x.type(), [&]<typename T>() {
    T* values = x.as<T>();
    const float *cosine_table = tables.cosines.as<float>(), *sine_table = tables.sines.as<float>();
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* cosine = cosine_table + (r % sequence) * half;
      const float* sine = sine_table + (r % sequence) * half;
      for (std::int64_t first = r * width; first < (r + 1) * width; first += 2 * half) {
        T *low = values + first, *high = values + first + half;
#pragma omp simd
        for (std::int64_t i = 0; i < half; ++i) {
          const float a = static_cast<float>(low[i]), b = static_cast<float>(high[i]),
                      s = direction * sine[i];
          low[i] = a * cosine[i] - b * s;
          high[i] = b * cosine[i] + a * s;
        }
      }
    }
  });
}

}  // namespace cola::cpu
