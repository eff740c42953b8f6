#include <cmath>
#include <limits>

#include "core/cpu/kernels.h"
#include "core/cpu/parallel.h"
#include "core/cpu/vector_math.h"

namespace cola::cpu {

namespace {

template <typename T>
float maximum(const T* values, std::int64_t count) {
  float largest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : largest)
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = static_cast<float>(values[i]);
    largest = value > largest ? value : largest;
  }
  return largest;
}

template <typename T>
float sum_of_exponentials(const T* values, std::int64_t count, float shift) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < count; ++i) sum += fast_exp(static_cast<float>(values[i]) - shift);
  return sum;
}

template <typename T>
void write_gradient(T* logits, std::int64_t vocabulary, std::int64_t stored, std::int32_t target, float shift,
                    float sum) {
  const float inverse = 1.0f / sum;
  const float hit = fast_exp(static_cast<float>(logits[target]) - shift) * inverse - 1.0f;
#pragma omp simd
  for (std::int64_t i = 0; i < vocabulary; ++i)
    logits[i] = fast_exp(static_cast<float>(logits[i]) - shift) * inverse;
  logits[target] = hit;
  std::fill(logits + vocabulary, logits + stored, T(0.0f));
}

void run(const Tensor& logits, const Tensor& targets, std::int64_t vocabulary, const Tensor& losses,
         bool gradient) {
  const std::int64_t rows = logits.dim(0), stored = logits.dim(1);
  require(vocabulary <= stored, "cross_entropy: the vocabulary is wider than the logits");
  for_type(logits.type(), [&]<typename T>() {
    T* values = logits.as<T>();
    const std::int32_t* target = targets.as<std::int32_t>();
    float* loss = losses.as<float>();
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
      T* row = values + r * stored;
      loss[r] = 0;
      if (target[r] == ignored_target) {
        if (gradient) std::fill(row, row + stored, T(0.0f));
        continue;
      }
      const float shift = maximum(row, vocabulary);
      const float sum = sum_of_exponentials(row, vocabulary, shift);
      loss[r] = std::log(sum) + shift - static_cast<float>(row[target[r]]);
      if (gradient) write_gradient(row, vocabulary, stored, target[r], shift, sum);
    }
  });
}

}  // namespace

void CpuCrossEntropy::forward(const Tensor& logits, const Tensor& targets, std::int64_t vocabulary,
                              const Tensor& losses) const {
  run(logits, targets, vocabulary, losses, false);
}

void CpuCrossEntropy::forward_backward(const Tensor& logits, const Tensor& targets, std::int64_t vocabulary,
                                       const Tensor& losses) const {
  run(logits, targets, vocabulary, losses, true);
}

}  // namespace cola::cpu
