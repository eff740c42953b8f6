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
  for (std::int64_t i = 0; i < count; ++i) sum += exp_nonpositive(static_cast<float>(values[i]) - shift);
  return sum;
}

// One row's piece of a tile: its real columns, the first of which is column `first` of the whole row.
template <typename T>
struct Piece {
  T* values;
  std::int64_t first, width;
  bool holds(std::int64_t column) const { return column >= first && column < first + width; }
};

// Calls visit(piece, tile) for the row's piece of every tile, from left to right.
template <typename T, typename Visit>
void for_each_piece(std::span<const Tensor> tiles, std::int64_t vocabulary, std::int64_t row, Visit&& visit) {
  std::int64_t first = 0;
  for (const Tensor& tile : tiles) {
    const std::int64_t width = tile.dim(1);
    visit(Piece<T>{tile.as<T>() + row * width, first, std::clamp<std::int64_t>(vocabulary - first, 0, width)},
          tile);
    first += width;
  }
}

template <typename T>
void clear_row(std::span<const Tensor> tiles, std::int64_t row) {
  for (const Tensor& tile : tiles) std::fill_n(tile.as<T>() + row * tile.dim(1), tile.dim(1), T(0.0f));
}

// softmax - one_hot over the real columns; whatever lies beyond them in the tile becomes 0.
template <typename T>
void write_gradient(const Piece<T>& piece, std::int64_t stored_width, std::int32_t target, float shift,
                    float sum) {
  T* values = piece.values;
  const std::int64_t width = piece.width;
  const float inverse = 1.0f / sum;
  const float target_logit = piece.holds(target) ? static_cast<float>(values[target - piece.first]) : 0.0f;
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i)
    values[i] = exp_nonpositive(static_cast<float>(values[i]) - shift) * inverse;
  if (piece.holds(target))
    values[target - piece.first] = exp_nonpositive(target_logit - shift) * inverse - 1.0f;
  std::fill(values + width, values + stored_width, T(0.0f));
}

template <typename T>
float row_loss(std::span<const Tensor> tiles, std::int64_t vocabulary, std::int64_t row, std::int32_t target,
               bool gradient) {
  float shift = -std::numeric_limits<float>::infinity(), sum = 0, target_logit = 0;
  for_each_piece<T>(tiles, vocabulary, row, [&](const Piece<T>& piece, const Tensor&) {
    shift = std::max(shift, maximum(piece.values, piece.width));
    if (piece.holds(target)) target_logit = static_cast<float>(piece.values[target - piece.first]);
  });
  for_each_piece<T>(tiles, vocabulary, row, [&](const Piece<T>& piece, const Tensor&) {
    sum += sum_of_exponentials(piece.values, piece.width, shift);
  });
  if (gradient)
    for_each_piece<T>(tiles, vocabulary, row, [&](const Piece<T>& piece, const Tensor& tile) {
      write_gradient(piece, tile.dim(1), target, shift, sum);
    });
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
