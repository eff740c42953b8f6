#include "core/cuda/norm_sums.h"

#include "core/cuda/block_sum.h"
#include "core/cuda/launch_shapes.h"
#include "core/cuda/pack.h"
#include "core/cuda/type_dispatch.h"
#include "core/divide_up.h"

namespace cola::cuda {

namespace {

// A block 32 columns, a warp every 32nd row.
__global__ void __launch_bounds__(warp_size* warp_size)
    add_column_sums_kernel(const float* partial, int rows, int columns, float* total) {
  __shared__ float shares[warp_size][warp_size + 1];  // one more, so that its columns lie in different banks
  const int first = static_cast<int>(blockIdx.x) * warp_size, column = first + lane_index();
  float share = 0;
  if (column < columns)
#pragma unroll 8
    for (int row = warp_index(); row < rows; row += warp_size)
      share += partial[row * std::int64_t{columns} + column];
  shares[warp_index()][lane_index()] = share;
  __syncthreads();
  const float sum = warp_sum(shares[lane_index()][warp_index()]);
  if (lane_index() == 0 && first + warp_index() < columns) total[first + warp_index()] += sum;
}

__device__ float x_factor(float inverse_rms, float dot, float columns) {
  return inverse_rms * inverse_rms * __fdividef(dot, columns);
}

constexpr int rows_of_block = 8;

// A warp a row, from the last to the first, as in norm.cu.
__global__ void __launch_bounds__(rows_of_block* warp_size)
    norm_x_factors_kernel(const __nv_bfloat16* pre, const __nv_bfloat16* d_pre, const float* inverse_rms,
                          std::int64_t rows, int width, float columns, float* x_factors) {
  using Eight = Pack<__nv_bfloat16, full_width<__nv_bfloat16>>;
  constexpr int pack = full_width<__nv_bfloat16>;
  const std::int64_t row = rows - 1 - (blockIdx.x * std::int64_t{rows_of_block} + warp_index());
  if (row < 0) return;
  float dot = 0;
#pragma unroll 4
  for (int k = lane_index() * pack; k < width; k += warp_size * pack) {
    const Eight a = Eight::load(pre + row * width + k), b = Eight::load(d_pre + row * width + k);
#pragma unroll
    for (int e = 0; e < pack; ++e) dot += a.values[e] * b.values[e];
  }
  dot = warp_sum(dot);
  if (lane_index() == 0) x_factors[row] = x_factor(inverse_rms[row], dot, columns);
}

// A thread a row.
__global__ void __launch_bounds__(flat_threads)
    norm_x_factors_of_dots_kernel(const float* row_dots, const float* inverse_rms, int stretches,
                                  std::int64_t rows, float columns, float* x_factors) {
  const std::int64_t row = flat_index(1);
  if (row >= rows) return;
  float dot = 0;
#pragma unroll 4
  for (int stretch = 0; stretch < stretches; ++stretch) dot += row_dots[stretch * rows + row];
  x_factors[row] = x_factor(inverse_rms[row], dot, columns);
}

}  // namespace

void add_column_sums(const Context& context, const float* partial, int rows, int columns, float* total) {
  launch("norm_backward_weight", add_column_sums_kernel,
         LaunchShape{dim3(static_cast<unsigned>(divide_up(columns, warp_size))), dim3(warp_size * warp_size)},
         context.stream, partial, rows, columns, total);
}

void norm_x_factors(const Context& context, const Tensor& pre, const Tensor& d_pre, const Tensor& inverse_rms,
                    std::int64_t columns, float* x_factors) {
  launch("norm_x_factors", norm_x_factors_kernel,
         LaunchShape{dim3(static_cast<unsigned>(divide_up(pre.dim(0), rows_of_block))),
                     dim3(rows_of_block * warp_size)},
         context.stream, data<__nv_bfloat16>(pre), data<__nv_bfloat16>(d_pre), inverse_rms.as<float>(),
         pre.dim(0), static_cast<int>(pre.dim(1)), static_cast<float>(columns), x_factors);
}

void norm_x_factors(const Context& context, const Tensor& row_dots, const Tensor& inverse_rms,
                    std::int64_t columns, float* x_factors) {
  const std::int64_t rows = row_dots.dim(1);
  launch("norm_x_factors", norm_x_factors_of_dots_kernel, flat_shape(rows, 1), context.stream,
         row_dots.as<float>(), inverse_rms.as<float>(), static_cast<int>(row_dots.dim(0)), rows,
         static_cast<float>(columns), x_factors);
}

}  // namespace cola::cuda
