#include <cmath>
#include <limits>
#include <vector>

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
  for (std::int64_t i = 0; i < count; ++i) sum += exp_nonpositive(static_cast<float>(values[i]) - shift);
  return sum;
}

// One row's piece in one tile of logits.
template <typename T>
struct Piece {
  T* values;
  std::int64_t first, width;  // columns of the whole row; width counts real ones only
};

template <typename T>
std::vector<Piece<T>> pieces_of(std::span<const Tensor> tiles, std::int64_t vocabulary, std::int64_t row) {
  std::vector<Piece<T>> pieces;
  std::int64_t first = 0;
  for (const Tensor& tile : tiles) {
    const std::int64_t width = tile.dim(1);
    pieces.push_back(
        {tile.as<T>() + row * width, first, std::clamp<std::int64_t>(vocabulary - first, 0, width)});
    first += width;
  }
  return pieces;
}

template <typename T>
void clear_row(std::span<const Tensor> tiles, std::int64_t row) {
  for (const Tensor& tile : tiles) std::fill_n(tile.as<T>() + row * tile.dim(1), tile.dim(1), T(0.0f));
}

// softmax - one_hot over the real columns; whatever lies beyond them becomes 0.
template <typename T>
void write_gradient(std::span<const Tensor> tiles, const std::vector<Piece<T>>& pieces, std::int32_t target,
                    float shift, float sum) {
  const float inverse = 1.0f / sum;
  for (std::size_t tile = 0; tile < pieces.size(); ++tile) {
    const auto [values, first, width] = pieces[tile];
    const std::int64_t hit = target - first;
    const bool holds_target = hit >= 0 && hit < width;
    const float hit_logit = holds_target ? static_cast<float>(values[hit]) : 0.0f;
    T* piece = values;
    const std::int64_t count = width;
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i)
      piece[i] = exp_nonpositive(static_cast<float>(piece[i]) - shift) * inverse;
    if (holds_target) piece[hit] = exp_nonpositive(hit_logit - shift) * inverse - 1.0f;
    std::fill(piece + width, piece + tiles[tile].dim(1), T(0.0f));
  }
}

template <typename T>
float row_loss(std::span<const Tensor> tiles, std::int64_t vocabulary, std::int64_t row, std::int32_t target,
               bool gradient) {
  const std::vector<Piece<T>> pieces = pieces_of<T>(tiles, vocabulary, row);
  float shift = -std::numeric_limits<float>::infinity(), sum = 0, target_logit = 0;
  for (const auto& [values, first, width] : pieces) {
    shift = std::max(shift, maximum(values, width));
    if (target >= first && target < first + width) target_logit = static_cast<float>(values[target - first]);
  }
  for (const auto& [values, first, width] : pieces) sum += sum_of_exponentials(values, width, shift);
  if (gradient) write_gradient(tiles, pieces, target, shift, sum);
  return std::log(sum) - (target_logit - shift);
}

void run(std::span<const Tensor> logits, const Tensor& targets, std::int64_t vocabulary, const Tensor& losses,
         bool gradient) {
  const std::int64_t rows = targets.elements();
  std::int64_t stored = 0;
  for (const Tensor& tile : logits) {
    require(tile.dim(0) == rows, "cross_entropy: logits and targets differ in their number of rows");
    stored += tile.dim(1);
  }
  require(vocabulary <= stored, "cross_entropy: the vocabulary is wider than the logits");
  for_type(logits.front().type(), [&]<typename T>() {
    const std::int32_t* target = targets.as<std::int32_t>();
    float* loss = losses.as<float>();
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
      const bool ignored = target[r] == ignored_target;
      if (ignored && gradient) clear_row<T>(logits, r);
      loss[r] = ignored ? 0.0f : row_loss<T>(logits, vocabulary, r, target[r], gradient);
    }
  });
}

}  // namespace

void CpuCrossEntropy::forward(std::span<const Tensor> logits, const Tensor& targets, std::int64_t vocabulary,
                              const Tensor& losses) const {
  run(logits, targets, vocabulary, losses, false);
}

void CpuCrossEntropy::forward_backward(std::span<const Tensor> logits, const Tensor& targets,
                                       std::int64_t vocabulary, const Tensor& losses) const {
  run(logits, targets, vocabulary, losses, true);
}

}  // namespace cola::cpu
