#include "core/cpu/kernels.h"
#include "core/cpu/parallel.h"
#include "core/cpu/vector_math.h"

namespace cola::cpu {

namespace {

constexpr std::int64_t block = 4096;  // elements a thread takes at a time

}  // namespace

void CpuActivation::silu_split(const Tensor& joined, const Tensor& split) const {
  const std::int64_t parts = split.dim(0), rows = split.dim(1), width = split.dim(2);
  require(joined.dim(0) == rows && joined.dim(1) == parts * width,
          "silu_split: joined and split differ in shape");
  for_type(joined.type(), [&]<typename T>() {
    const T* in = joined.as<T>();
    T* out = split.as<T>();
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t part = 0; part < parts; ++part) {
        const T* x = in + (r * parts + part) * width;
        T* y = out + (part * rows + r) * width;
#pragma omp simd
        for (std::int64_t c = 0; c < width; ++c) y[c] = silu(static_cast<float>(x[c]));
      }
  });
}

void CpuActivation::silu_split_backward(const Tensor& joined, const Tensor& d_split,
                                        const Tensor& d_joined) const {
  const std::int64_t parts = d_split.dim(0), rows = d_split.dim(1), width = d_split.dim(2);
  require(joined.dim(0) == rows && joined.dim(1) == parts * width,
          "silu_split: joined and split differ in shape");
  for_type(joined.type(), [&]<typename T>() {
    const T *in = joined.as<T>(), *gradient = d_split.as<T>();
    T* out = d_joined.as<T>();
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t part = 0; part < parts; ++part) {
        const std::int64_t first = (r * parts + part) * width;
        const T* dy = gradient + (part * rows + r) * width;
#pragma omp simd
        for (std::int64_t c = 0; c < width; ++c)
          out[first + c] = static_cast<float>(dy[c]) * silu_derivative(static_cast<float>(in[first + c]));
      }
  });
}

void CpuActivation::gate_product(GateActivation activation, const Tensor& gate, const Tensor& up,
                                 const Tensor& product) const {
  const std::int64_t elements = product.elements();
  const bool with_silu = activation == GateActivation::silu;
  for_type(gate.type(), [&]<typename T>() {
    const T *g = gate.as<T>(), *u = up.as<T>();
    T* out = product.as<T>();
#pragma omp parallel for schedule(static)
    for (std::int64_t first = 0; first < elements; first += block) {
      const std::int64_t last = std::min(elements, first + block);
      if (with_silu) {
#pragma omp simd
        for (std::int64_t i = first; i < last; ++i)
          out[i] = silu(static_cast<float>(g[i])) * static_cast<float>(u[i]);
      } else {
#pragma omp simd
        for (std::int64_t i = first; i < last; ++i)
          out[i] = static_cast<float>(g[i]) * static_cast<float>(u[i]);
      }
    }
  });
}

void CpuActivation::gate_product_backward(GateActivation activation, const Tensor& gate, const Tensor& up,
                                          const Tensor& d_product, const Tensor& d_gate,
                                          const Tensor& d_up) const {
  const std::int64_t elements = d_product.elements();
  const bool with_silu = activation == GateActivation::silu;
  for_type(gate.type(), [&]<typename T>() {
    const T *g = gate.as<T>(), *u = up.as<T>(), *dp = d_product.as<T>();
    T *dg = d_gate.as<T>(), *du = d_up.as<T>();
#pragma omp parallel for schedule(static)
    for (std::int64_t first = 0; first < elements; first += block) {
      const std::int64_t last = std::min(elements, first + block);
      if (with_silu) {
#pragma omp simd
        for (std::int64_t i = first; i < last; ++i) {
          const float x = static_cast<float>(g[i]), y = static_cast<float>(u[i]),
                      gradient = static_cast<float>(dp[i]);
          const float s = sigmoid(x);
          dg[i] = gradient * y * (s * (1.0f + x * (1.0f - s)));
          du[i] = gradient * (x * s);
        }
      } else {
#pragma omp simd
        for (std::int64_t i = first; i < last; ++i) {
          const float x = static_cast<float>(g[i]), y = static_cast<float>(u[i]),
                      gradient = static_cast<float>(dp[i]);
          dg[i] = gradient * y;
          du[i] = gradient * x;
        }
      }
    }
  });
}

}  // namespace cola::cpu
