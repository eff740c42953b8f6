#include "core/cuda/check.h"
#include "core/cuda/kernels.h"
#include "core/cuda/launch_shapes.h"
#include "core/cuda/pack.h"
#include "core/cuda/type_dispatch.h"

namespace cola::cuda {

namespace {

// A block a row; a thread turns a pack of a head's lower half together with that of its upper half. The
// tables' rows are shared by all heads and stay in the L1 cache.
template <typename T, int width>
__global__ void rope_kernel(T* x, const float* cosines, const float* sines, std::int64_t sequence, int heads,
                            int half, float direction) {
  const std::int64_t row = blockIdx.x, position = row % sequence;
  const int packs = half / width;
  T* const heads_of_row = x + row * (2 * heads * half);
  for (int i = static_cast<int>(threadIdx.x); i < heads * packs; i += static_cast<int>(blockDim.x)) {
    const int head = i / packs, column = (i - head * packs) * width;
    T *const low_at = heads_of_row + 2 * head * half + column, *const high_at = low_at + half;
    const auto low = Pack<T, width>::load(low_at), high = Pack<T, width>::load(high_at);
    const auto cosine = Pack<float, width>::load(cosines + position * half + column);
    const auto sine = Pack<float, width>::load(sines + position * half + column);
    Pack<T, width> turned_low, turned_high;
#pragma unroll
    for (int e = 0; e < width; ++e) {
      const float a = low.values[e], b = high.values[e], s = direction * sine.values[e];
      turned_low.values[e] = a * cosine.values[e] - b * s;
      turned_high.values[e] = b * cosine.values[e] + a * s;
    }
    turned_low.store(low_at);
    turned_high.store(high_at);
  }
}

}  // namespace

void CudaRope::rotate(const Tensor& x, const RotationTables& tables, Rotation rotation) const {
  if (x.elements() == 0) return;
  const std::int64_t rows = x.dim(0), columns = x.dim(1), sequence = tables.positions(),
                     half = tables.half_head_dim();
  require(columns % (2 * half) == 0, "rope: the width is no multiple of the head dimension");
  const bool aligned = rows_are_aligned(half, x.type(), x.data()) &&
                       rows_are_aligned(half, DataType::float32, tables.cosines.data(), tables.sines.data());
  dispatch(x.type(), aligned, [&]<typename T, int width>() {
    launch("rope", rope_kernel<T, width>, row_shape(rows, columns / 2, width), context_.stream, data<T>(x),
           tables.cosines.as<float>(), tables.sines.as<float>(), sequence,
           static_cast<int>(columns / (2 * half)), static_cast<int>(half),
           rotation == Rotation::forward ? 1.0f : -1.0f);
  });
}

}  // namespace cola::cuda
