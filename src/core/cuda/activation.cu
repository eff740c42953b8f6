// SiLU between CoLA's factors and SwiGLU's product: 16 bytes a thread, one pass over memory.
#include "core/cuda/fast_math.h"
#include "core/cuda/kernels.h"
#include "core/cuda/launch_shapes.h"
#include "core/cuda/pack.h"
#include "core/cuda/type_dispatch.h"

namespace cola::cuda {

namespace {

// Where column c of row `row` of joined [n, parts * rank] lies in split [parts, n, rank].
__device__ std::int64_t split_index(std::int64_t row, int c, std::int64_t n, int rank) {
  const int part = c / rank;
  return (part * (n - 1) + row) * rank + c;  // that is (part * n + row) * rank + (c - part * rank)
}

// A block a row.
template <typename T, int width>
__global__ void silu_split_kernel(const T* joined, T* split, std::int64_t n, int parts, int rank) {
  const std::int64_t row = blockIdx.x;
  const int columns = parts * rank;
  for (int c = threadIdx.x * width; c < columns; c += blockDim.x * width) {
    auto pack = Pack<T, width>::load(joined + row * columns + c);
#pragma unroll
    for (float& value : pack.values) value = silu(value);
    pack.store(split + split_index(row, c, n, rank));
  }
}

template <typename T, int width>
__global__ void silu_split_backward_kernel(const T* joined, const T* d_split, T* d_joined, std::int64_t n,
                                           int parts, int rank) {
  const std::int64_t row = blockIdx.x;
  const int columns = parts * rank;
  for (int c = threadIdx.x * width; c < columns; c += blockDim.x * width) {
    const auto x = Pack<T, width>::load(joined + row * columns + c);
    auto gradient = Pack<T, width>::load(d_split + split_index(row, c, n, rank));
#pragma unroll
    for (int e = 0; e < width; ++e) gradient.values[e] *= silu_slope(x.values[e]);
    gradient.store(d_joined + row * columns + c);
  }
}

template <typename T, int width, bool with_silu>
__global__ void gate_product_kernel(const T* gate, const T* up, T* product, std::int64_t count) {
  const std::int64_t i = flat_index(width);
  if (i >= count) return;
  auto g = Pack<T, width>::load(gate + i);
  const auto u = Pack<T, width>::load(up + i);
#pragma unroll
  for (int e = 0; e < width; ++e) g.values[e] = (with_silu ? silu(g.values[e]) : g.values[e]) * u.values[e];
  g.store(product + i);
}

// d_gate may be gate and d_up may be up: each thread reads all it needs before it writes.
template <typename T, int width, bool with_silu>
__global__ void gate_product_backward_kernel(const T* gate, const T* up, const T* d_product, T* d_gate,
                                             T* d_up, std::int64_t count) {
  const std::int64_t i = flat_index(width);
  if (i >= count) return;
  auto g = Pack<T, width>::load(gate + i);
  auto u = Pack<T, width>::load(up + i);
  const auto d = Pack<T, width>::load(d_product + i);
#pragma unroll
  for (int e = 0; e < width; ++e) {
    const float x = g.values[e];
    g.values[e] = d.values[e] * u.values[e] * (with_silu ? silu_slope(x) : 1.0f);
    u.values[e] = d.values[e] * (with_silu ? silu(x) : x);
  }
  g.store(d_gate + i);
  u.store(d_up + i);
}

}  // namespace

void CudaActivation::silu_split(const Tensor& joined, const Tensor& split) const {
  const std::int64_t parts = split.dim(0), n = split.dim(1), rank = split.dim(2);
  if (joined.elements() == 0) return;
  const bool aligned = rows_are_aligned(rank, joined.type(), joined.data(), split.data());
  dispatch(joined.type(), aligned, [&]<typename T, int width>() {
    launch("silu_split", silu_split_kernel<T, width>, row_shape(n, parts * rank, width), context_.stream,
           data<T>(joined), data<T>(split), n, static_cast<int>(parts), static_cast<int>(rank));
  });
}

void CudaActivation::silu_split_backward(const Tensor& joined, const Tensor& d_split,
                                         const Tensor& d_joined) const {
  const std::int64_t parts = d_split.dim(0), n = d_split.dim(1), rank = d_split.dim(2);
  if (joined.elements() == 0) return;
  const bool aligned = rows_are_aligned(rank, joined.type(), joined.data(), d_split.data(), d_joined.data());
  dispatch(joined.type(), aligned, [&]<typename T, int width>() {
    launch("silu_split_backward", silu_split_backward_kernel<T, width>, row_shape(n, parts * rank, width),
           context_.stream, data<T>(joined), data<T>(d_split), data<T>(d_joined), n, static_cast<int>(parts),
           static_cast<int>(rank));
  });
}

void CudaActivation::gate_product(GateActivation activation, const Tensor& gate, const Tensor& up,
                                  const Tensor& product) const {
  const std::int64_t count = gate.elements();
  if (count == 0) return;
  const bool aligned = rows_are_aligned(count, gate.type(), gate.data(), up.data(), product.data());
  dispatch(gate.type(), aligned, [&]<typename T, int width>() {
    const auto kernel = activation == GateActivation::silu ? gate_product_kernel<T, width, true>
                                                           : gate_product_kernel<T, width, false>;
    launch("gate_product", kernel, flat_shape(count, width), context_.stream, data<T>(gate), data<T>(up),
           data<T>(product), count);
  });
}

void CudaActivation::gate_product_backward(GateActivation activation, const Tensor& gate, const Tensor& up,
                                           const Tensor& d_product, const Tensor& d_gate,
                                           const Tensor& d_up) const {
  const std::int64_t count = gate.elements();
  if (count == 0) return;
  const bool aligned = rows_are_aligned(count, gate.type(), gate.data(), up.data(), d_product.data(),
                                        d_gate.data(), d_up.data());
  dispatch(gate.type(), aligned, [&]<typename T, int width>() {
    const auto kernel = activation == GateActivation::silu ? gate_product_backward_kernel<T, width, true>
                                                           : gate_product_backward_kernel<T, width, false>;
    launch("gate_product_backward", kernel, flat_shape(count, width), context_.stream, data<T>(gate),
           data<T>(up), data<T>(d_product), data<T>(d_gate), data<T>(d_up), count);
  });
}

}  // namespace cola::cuda
