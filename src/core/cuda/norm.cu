// A block a row, a pack of its columns a thread: the row stays in registers between its sum of squares and
// its scaling, unless it is wider than a block. Then it is read a second time.
//
// Rows are taken from the last to the first: products write, and read, them from the first to the last, so
// that the newest of what a norm reads are still in the cache, and the newest of what it writes are read
// first.
#include <algorithm>

#include "core/cuda/block_sum.h"
#include "core/cuda/kernels.h"
#include "core/cuda/launch_shapes.h"
#include "core/cuda/norm_sums.h"
#include "core/cuda/pack.h"
#include "core/cuda/type_dispatch.h"
#include "core/divide_up.h"

namespace cola::cuda {

namespace {

constexpr int most_threads = 512;
// Threads that a multiprocessor holds at a time, as the kernels' registers are budgeted.
constexpr int forward_threads = 2048, backward_threads = 1024;

// The row of this block, the last row's being the first.
__device__ inline std::int64_t row_of_block() {
  return std::int64_t{gridDim.x} - 1 - blockIdx.x;
}

// What forward writes and recompute writes again: the same bits.
template <typename T, int width>
__device__ void store_scaled(const Pack<T, width>& x, const RawPack<T, width>& weight, float inverse_rms,
                             T* y) {
  auto scaled = Pack<T, width>::from(weight);
#pragma unroll
  for (int e = 0; e < width; ++e) scaled.values[e] *= x.values[e] * inverse_rms;
  scaled.store(y);
}

template <typename T, int width>
__global__ void __launch_bounds__(most_threads, forward_threads / most_threads)
    norm_forward_kernel(const T* x, const T* weight, float epsilon, int columns, T* y, float* inverse_rms) {
  const std::int64_t row = row_of_block() * columns;
  const int first = static_cast<int>(threadIdx.x) * width, step = static_cast<int>(blockDim.x) * width;
  Pack<T, width> kept;
  RawPack<T, width> scale;
  float squares = 0;
  for (int c = first; c < columns; c += step) {
    scale = RawPack<T, width>::load(weight + c);
    kept = Pack<T, width>::load(x + row + c);
#pragma unroll
    for (const float value : kept.values) squares += value * value;
  }
  const float inverse = rsqrtf(__fdividef(block_sum(squares), static_cast<float>(columns)) + epsilon);
  if (threadIdx.x == 0) inverse_rms[row_of_block()] = inverse;
  for (int c = first; c < columns; c += step) {
    if (columns > step) {
      scale = RawPack<T, width>::load(weight + c);
      kept = Pack<T, width>::load(x + row + c);
    }
    store_scaled(kept, scale, inverse, y + row + c);
  }
}

template <typename T, int width>
__global__ void __launch_bounds__(most_threads)
    norm_recompute_kernel(const T* x, const T* weight, const float* inverse_rms, int columns, T* y) {
  const std::int64_t row = row_of_block() * columns;
  const float inverse = inverse_rms[row_of_block()];
  for (int c = static_cast<int>(threadIdx.x) * width; c < columns; c += static_cast<int>(blockDim.x) * width)
    store_scaled(Pack<T, width>::load(x + row + c), RawPack<T, width>::load(weight + c), inverse,
                 y + row + c);
}

// A pack of one row in the backward pass: dy, u = weight * dy, and x_hat = x * inverse_rms.
template <typename T, int width>
struct RowPart {
  Pack<T, width> dy, u, x_hat;

  __device__ static RowPart load(const T* dy, const T* x, const T* weight, float inverse_rms) {
    RowPart part{Pack<T, width>::load(dy), Pack<T, width>::load(weight), Pack<T, width>::load(x)};
#pragma unroll
    for (int e = 0; e < width; ++e) {
      part.u.values[e] *= part.dy.values[e];
      part.x_hat.values[e] *= inverse_rms;
    }
    return part;
  }
  __device__ float dot() const {
    float sum = 0;
#pragma unroll
    for (int e = 0; e < width; ++e) sum += u.values[e] * x_hat.values[e];
    return sum;
  }
};

// This thread's share of the sum of u * x_hat over the columns that its block does not own.
template <typename T, int width>
__device__ float dot_of_others(const T* dy, const T* x, const T* weight, float inverse_rms, int columns,
                               int own) {
  const int first = static_cast<int>(threadIdx.x) * width, step = static_cast<int>(blockDim.x) * width;
  float sum = 0;
#pragma unroll 1
  for (int c = first; c < columns; c += step)
    if (c != own) sum += RowPart<T, width>::load(dy + c, x + c, weight + c, inverse_rms).dot();
  return sum;
}

// dx += inverse_rms * (u - x_hat * mean(u * x_hat)) in every gridDim.x-th row, and the sum of dy * x_hat over
// these rows to row blockIdx.x of partial_dweight [gridDim.x, columns]. A block owns as many columns as its
// threads hold at a time, so wide rows have several blocks, gridDim.y, each of which reads all of dy and x.
// Moves 3 reads and 1 write an element.
template <typename T, int width>
__global__ void __launch_bounds__(most_threads, backward_threads / most_threads)
    norm_backward_kernel(const T* dy, const T* x, const T* weight, const float* inverse_rms,
                         std::int64_t rows, int columns, T* dx, float* partial_dweight) {
  const int own = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * width;
  Pack<float, width> dweight = {};
  for (std::int64_t r = rows - 1 - blockIdx.x; r >= 0; r -= gridDim.x) {
    const std::int64_t row = r * columns;
    const float inverse = inverse_rms[r];
    RowPart<T, width> part;
    RawPack<T, width> before;
    float dot = 0;
    if (own < columns) {
      part = RowPart<T, width>::load(dy + row + own, x + row + own, weight + own, inverse);
      before = RawPack<T, width>::load(dx + row + own);
      dot = part.dot();
#pragma unroll
      for (int e = 0; e < width; ++e) dweight.values[e] += part.dy.values[e] * part.x_hat.values[e];
    }
    if (gridDim.y > 1) dot += dot_of_others<T, width>(dy + row, x + row, weight, inverse, columns, own);
    const float mean = __fdividef(block_sum(dot), static_cast<float>(columns));
    if (own < columns) {
      auto after = Pack<T, width>::from(before);
#pragma unroll
      for (int e = 0; e < width; ++e)
        after.values[e] += inverse * (part.u.values[e] - part.x_hat.values[e] * mean);
      after.store(dx + row + own);
    }
  }
  if (own < columns) dweight.store(partial_dweight + blockIdx.x * std::int64_t{columns} + own);
}

// Blocks of the backward pass: enough to fill the GPU, as their partial sums fit the scratch memory.
LaunchShape backward_shape(const Context& context, std::int64_t rows, std::int64_t columns, int width) {
  LaunchShape shape = row_shape(rows, columns, width, most_threads);
  const std::int64_t resident = context.multiprocessors * (backward_threads / std::int64_t{shape.threads.x});
  const std::int64_t fitting = Context::scratch_bytes / (static_cast<std::size_t>(columns) * sizeof(float));
  shape.blocks.x = static_cast<unsigned>(std::min({rows, resident, fitting}));
  shape.blocks.y = static_cast<unsigned>(divide_up(columns, std::int64_t{shape.threads.x} * width));
  return shape;
}

}  // namespace

void CudaNorm::forward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& y,
                       const Tensor& inverse_rms) const {
  if (x.elements() == 0) return;
  const std::int64_t rows = x.dim(0), columns = x.dim(1);
  const bool aligned = rows_are_aligned(columns, x.type(), x.data(), weight.data(), y.data());
  dispatch(x.type(), aligned, [&]<typename T, int width>() {
    launch("norm", norm_forward_kernel<T, width>, row_shape(rows, columns, width, most_threads),
           context_.stream, data<T>(x), data<T>(weight), epsilon, static_cast<int>(columns), data<T>(y),
           inverse_rms.as<float>());
  });
}

void CudaNorm::recompute(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms,
                         const Tensor& y) const {
  if (x.elements() == 0) return;
  const std::int64_t rows = x.dim(0), columns = x.dim(1);
  const bool aligned = rows_are_aligned(columns, x.type(), x.data(), weight.data(), y.data());
  dispatch(x.type(), aligned, [&]<typename T, int width>() {
    launch("norm_recompute", norm_recompute_kernel<T, width>, row_shape(rows, columns, width, most_threads),
           context_.stream, data<T>(x), data<T>(weight), inverse_rms.as<float>(), static_cast<int>(columns),
           data<T>(y));
  });
}

void CudaNorm::backward(const Tensor& dy, const NormBackward& norm) const {
  const auto& [x, weight, inverse_rms, dx, dweight] = norm;
  if (x.elements() == 0) return;
  const std::int64_t rows = x.dim(0);
  const int columns = static_cast<int>(x.dim(1));
  auto* const partial = static_cast<float*>(context_.scratch);
  const bool aligned = rows_are_aligned(columns, x.type(), dy.data(), x.data(), weight.data(), dx.data());
  dispatch(x.type(), aligned, [&]<typename T, int width>() {
    const LaunchShape shape = backward_shape(context_, rows, columns, width);
    launch("norm_backward", norm_backward_kernel<T, width>, shape, context_.stream, data<T>(dy), data<T>(x),
           data<T>(weight), inverse_rms.as<float>(), rows, columns, data<T>(dx), partial);
    add_column_sums(context_, partial, static_cast<int>(shape.blocks.x), columns, dweight.as<float>());
  });
}

}  // namespace cola::cuda
