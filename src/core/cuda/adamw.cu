#include <algorithm>
#include <cmath>

#include "core/cuda/kernels.h"
#include "core/cuda/launch_shapes.h"
#include "core/cuda/pack.h"
#include "core/cuda/type_dispatch.h"

namespace cola::cuda {

namespace {

// What an element's update needs besides its own values.
struct UpdateFactors {
  float rate, beta1, beta2, correction1, correction2, epsilon, scale, decay;
};

UpdateFactors factors_of(const AdamWParameters& p) {
  const auto correction = [&](float beta) {
    return static_cast<float>(1.0 / (1.0 - std::pow(double{beta}, static_cast<double>(p.step))));
  };
  return {p.learning_rate,     p.beta1,   p.beta2,          correction(p.beta1),
          correction(p.beta2), p.epsilon, p.gradient_scale, 1.0f - p.learning_rate * p.weight_decay};
}

// Moves 28 bytes an element and its working weight. Every pack is of as many elements, so that a warp's
// accesses are to neighbouring addresses: working weights in bf16 are written 8 bytes at a time.
template <typename Working, int width>
__global__ void adamw_kernel(UpdateFactors f, float* weights, float* exp_avg, float* exp_avg_sq,
                             const float* gradient, Working* working, std::int64_t elements) {
  using FloatPack = Pack<float, width>;
  const std::int64_t i = flat_index(width);
  if (i >= elements) return;
  auto w = FloatPack::load(weights + i), m = FloatPack::load(exp_avg + i),
       v = FloatPack::load(exp_avg_sq + i);
  const auto g = FloatPack::load(gradient + i);
  Pack<Working, width> rounded;
#pragma unroll
  for (int e = 0; e < width; ++e) {
    const float scaled = g.values[e] * f.scale;
    m.values[e] = f.beta1 * m.values[e] + (1.0f - f.beta1) * scaled;
    v.values[e] = f.beta2 * v.values[e] + (1.0f - f.beta2) * scaled * scaled;
    const float denominator = sqrtf(v.values[e] * f.correction2) + f.epsilon;
    w.values[e] = w.values[e] * f.decay - f.rate * (m.values[e] * f.correction1) / denominator;
    rounded.values[e] = w.values[e];
  }
  w.store(weights + i);
  m.store(exp_avg + i);
  v.store(exp_avg_sq + i);
  rounded.store(working + i);
}

}  // namespace

void CudaAdamW::update(const AdamWParameters& parameters, const Tensor& weights, const Tensor& exp_avg,
                       const Tensor& exp_avg_sq, const Tensor& gradient, const Tensor& working) const {
  const std::int64_t elements = weights.elements();
  if (elements == 0) return;
  const bool aligned = rows_are_aligned(elements, DataType::float32, weights.data(), exp_avg.data(),
                                        exp_avg_sq.data(), gradient.data(), working.data());
  dispatch(working.type(), aligned, [&]<typename Working, int working_width>() {
    constexpr int width = std::min(working_width, full_width<float>);
    launch("adamw", adamw_kernel<Working, width>, flat_shape(elements, width), context_.stream,
           factors_of(parameters), weights.as<float>(), exp_avg.as<float>(), exp_avg_sq.as<float>(),
           gradient.as<float>(), data<Working>(working), elements);
  });
}

}  // namespace cola::cuda
