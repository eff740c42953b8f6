#include <cmath>
#include <vector>

#include "core/cpu/kernels.h"
#include "core/cpu/parallel.h"

namespace cola::cpu {

namespace {

template <typename T>
float sum_of_squares(const T* x, std::int64_t columns) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t c = 0; c < columns; ++c) {
    const float value = static_cast<float>(x[c]);
    sum += value * value;
  }
  return sum;
}

template <typename T>
void scale_row(const T* x, const T* weight, float inverse_rms, std::int64_t columns, T* y) {
#pragma omp simd
  for (std::int64_t c = 0; c < columns; ++c)
    y[c] = static_cast<float>(weight[c]) * (static_cast<float>(x[c]) * inverse_rms);
}

float inverse_rms_of(float sum_squares, std::int64_t columns, float epsilon) {
  return 1.0f / std::sqrt(sum_squares / static_cast<float>(columns) + epsilon);
}

// With u = weight * dy and x_hat = x * inverse_rms: dx = inverse_rms * (u - x_hat * mean(u * x_hat)).
template <typename T>
void backward_row(const T* dy, const T* x, const T* weight, float inverse_rms, std::int64_t columns, T* dx,
                  float* dweight) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (std::int64_t c = 0; c < columns; ++c) {
    const float gradient = static_cast<float>(dy[c]), x_hat = static_cast<float>(x[c]) * inverse_rms;
    dot += gradient * static_cast<float>(weight[c]) * x_hat;
    dweight[c] += gradient * x_hat;
  }
  const float mean = dot / static_cast<float>(columns);
#pragma omp simd
  for (std::int64_t c = 0; c < columns; ++c) {
    const float u = static_cast<float>(dy[c]) * static_cast<float>(weight[c]);
    const float x_hat = static_cast<float>(x[c]) * inverse_rms;
    dx[c] = static_cast<float>(dx[c]) + inverse_rms * (u - x_hat * mean);
  }
}

}  // namespace

void CpuNorm::forward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& y,
                      const Tensor& inverse_rms) const {
  const std::int64_t rows = x.dim(0), columns = x.dim(1);
  for_type(x.type(), [&]<typename T>() {
    const T *in = x.as<T>(), *scale = weight.as<T>();
    T* out = y.as<T>();
    float* kept = inverse_rms.as<float>();
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
      kept[r] = inverse_rms_of(sum_of_squares(in + r * columns, columns), columns, epsilon);
      scale_row(in + r * columns, scale, kept[r], columns, out + r * columns);
    }
  });
}

void CpuNorm::recompute(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms,
                        const Tensor& y) const {
  const std::int64_t rows = x.dim(0), columns = x.dim(1);
  for_type(x.type(), [&]<typename T>() {
    const T *in = x.as<T>(), *scale = weight.as<T>();
    T* out = y.as<T>();
    const float* kept = inverse_rms.as<float>();
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r)
      scale_row(in + r * columns, scale, kept[r], columns, out + r * columns);
  });
}

void CpuNorm::backward(const Tensor& dy, const NormBackward& norm) const {
  const auto& [x, weight, inverse_rms, dx, dweight] = norm;
  const std::int64_t rows = x.dim(0), columns = x.dim(1);
  const auto width = static_cast<std::size_t>(columns);
  // Each thread sums its rows' share of dweight; the shares are then added in the order of the threads.
  std::vector<float> shares(width * static_cast<std::size_t>(omp_get_max_threads()), 0.0f);
  for_type(x.type(), [&]<typename T>() {
    const T *gradient = dy.as<T>(), *in = x.as<T>(), *scale = weight.as<T>();
    T* out = dx.as<T>();
    const float* kept = inverse_rms.as<float>();
#pragma omp parallel
    {
      float* share = shares.data() + width * static_cast<std::size_t>(omp_get_thread_num());
#pragma omp for schedule(static)
      for (std::int64_t r = 0; r < rows; ++r)
        backward_row(gradient + r * columns, in + r * columns, scale, kept[r], columns, out + r * columns,
                     share);
    }
  });
  float* total = dweight.as<float>();
  for (std::size_t first = 0; first < shares.size(); first += width)
    for (std::size_t c = 0; c < width; ++c) total[c] += shares[first + c];
}

}  // namespace cola::cpu
