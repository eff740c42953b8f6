// A block a row, which it reads twice where a gradient is wanted: the second time from the L2 cache, since
// few rows are worked on at a time. That moves one read and one write of the logits through the GPU's memory.
#include <algorithm>
#include <limits>

#include "core/cuda/block_sum.h"
#include "core/cuda/check.h"
#include "core/cuda/fast_math.h"
#include "core/cuda/kernels.h"
#include "core/cuda/launch.h"
#include "core/cuda/pack.h"
#include "core/cuda/type_dispatch.h"

namespace cola::cuda {

namespace {

constexpr int threads = 512, resident_blocks = 3;
constexpr int batch = 4;  // packs that a thread asks for at a time
constexpr int most_tiles = 64;

template <typename T>
struct LogitsTiles {
  T* data[most_tiles];
  int widths[most_tiles];
  int count;
};

template <typename T>
LogitsTiles<T> tiles_of(std::span<const Tensor> logits) {
  LogitsTiles<T> tiles = {};
  for (const Tensor& tile : logits) {
    tiles.data[tiles.count] = data<T>(tile);
    tiles.widths[tiles.count++] = static_cast<int>(tile.dim(1));
  }
  return tiles;
}

// One row's piece of a tile: its columns, the first `real` of which count. The first is column `first` of the
// whole row.
template <typename T, int width>
struct Piece {
  T* values;
  int first, columns, real;

  __device__ Piece(const LogitsTiles<T>& tiles, int tile, int first_column, int vocabulary)
      : values(tiles.data[tile] + blockIdx.x * std::int64_t{tiles.widths[tile]}),
        first(first_column),
        columns(tiles.widths[tile]),
        real(min(max(vocabulary - first_column, 0), columns)) {}

  // The pack at column c, columns that do not count as minus infinity.
  __device__ Pack<T, width> real_pack(const RawPack<T, width>& raw, int c) const {
    auto pack = Pack<T, width>::from(raw);
#pragma unroll
    for (int e = 0; e < width; ++e)
      if (c + e >= real) pack.values[e] = -std::numeric_limits<float>::infinity();
    return pack;
  }
};

// The sum of exp(x - maximum) over what was added so far, by one thread.
struct RunningSum {
  float maximum = -std::numeric_limits<float>::max(), sum = 0;

  template <typename T, int width>
  __device__ void add(const Pack<T, width>& logits) {
    float largest = maximum;
#pragma unroll
    for (const float x : logits.values) largest = fmaxf(largest, x);
    sum *= fast_exp(maximum - largest);
#pragma unroll
    for (const float x : logits.values) sum += fast_exp(x - largest);
    maximum = largest;
  }

  template <typename T, int width>
  __device__ void add(const Piece<T, width>& piece) {
    constexpr int step = threads * width;
    for (int c = static_cast<int>(threadIdx.x) * width; c < piece.real; c += batch * step) {
      RawPack<T, width> packs[batch];  // all asked for before the first is used
#pragma unroll
      for (int b = 0; b < batch; ++b)
        packs[b] = c + b * step < piece.real ? RawPack<T, width>::load(piece.values + c + b * step)
                                             : RawPack<T, width>{};
#pragma unroll
      for (int b = 0; b < batch; ++b) add(piece.real_pack(packs[b], c + b * step));
    }
  }
};

// softmax - one_hot over the columns that count, 0 in the others.
template <typename T, int width>
__device__ void write_gradient(const Piece<T, width>& piece, int target, float maximum, float inverse_sum) {
  for (int c = static_cast<int>(threadIdx.x) * width; c < piece.columns; c += threads * width) {
    Pack<T, width> gradient = {};
    if (c < piece.real) {
      gradient = piece.real_pack(RawPack<T, width>::load(piece.values + c), c);
#pragma unroll
      for (int e = 0; e < width; ++e)
        gradient.values[e] = fast_exp(gradient.values[e] - maximum) * inverse_sum -
                             (piece.first + c + e == target ? 1.0f : 0.0f);
    }
    gradient.store(piece.values + c);
  }
}

template <typename T, int width>
__device__ void clear(const Piece<T, width>& piece) {
  for (int c = static_cast<int>(threadIdx.x) * width; c < piece.columns; c += threads * width)
    Pack<T, width>{}.store(piece.values + c);
}

// Calls visit(piece) for this block's row in every tile, from left to right.
template <typename T, int width, typename Visit>
__device__ void for_each_piece(const LogitsTiles<T>& tiles, int vocabulary, const Visit& visit) {
  int first = 0;
  for (int tile = 0; tile < tiles.count; ++tile) {
    visit(Piece<T, width>(tiles, tile, first, vocabulary));
    first += tiles.widths[tile];
  }
}

template <typename T, int width>
__global__ void __launch_bounds__(threads, resident_blocks)
    cross_entropy_kernel(const LogitsTiles<T> tiles, const std::int32_t* targets, int vocabulary,
                         float* losses, bool with_gradient) {
  using Part = Piece<T, width>;
  const int target = targets[blockIdx.x];
  if (target == ignored_target) {
    if (threadIdx.x == 0) losses[blockIdx.x] = 0;
    if (with_gradient) for_each_piece<T, width>(tiles, vocabulary, [](const Part& piece) { clear(piece); });
    return;
  }
  float target_logit = 0;
  RunningSum own;
  for_each_piece<T, width>(tiles, vocabulary, [&](const Part& piece) {
    if (target >= piece.first && target < piece.first + piece.real)
      target_logit = to_float(piece.values[target - piece.first]);
    own.add(piece);
  });
  const float maximum = block_maximum(own.maximum);
  const float sum = block_sum(own.sum * fast_exp(own.maximum - maximum));
  if (threadIdx.x == 0) losses[blockIdx.x] = logf(sum) - (target_logit - maximum);
  const float inverse_sum = __fdividef(1.0f, sum);
  if (with_gradient)
    for_each_piece<T, width>(tiles, vocabulary,
                             [&](const Part& piece) { write_gradient(piece, target, maximum, inverse_sum); });
}

void run(cudaStream_t stream, std::span<const Tensor> logits, const Tensor& targets, std::int64_t vocabulary,
         const Tensor& losses, bool with_gradient) {
  const std::int64_t rows = targets.elements();
  require(logits.size() <= most_tiles, "cross_entropy: the logits come in more than 64 tiles");
  std::int64_t stored = 0;
  bool aligned = true;
  for (const Tensor& tile : logits) {
    require(tile.dim(0) == rows, "cross_entropy: logits and targets differ in their number of rows");
    stored += tile.dim(1);
    aligned = aligned && rows_are_aligned(tile.dim(1), tile.type(), tile.data());
  }
  require(vocabulary <= stored, "cross_entropy: the vocabulary is wider than the logits");
  if (rows == 0) return;
  dispatch(logits.front().type(), aligned, [&]<typename T, int width>() {
    launch("cross_entropy", cross_entropy_kernel<T, width>,
           LaunchShape{dim3(static_cast<unsigned>(rows)), dim3(threads)}, stream, tiles_of<T>(logits),
           targets.as<std::int32_t>(), static_cast<int>(vocabulary), losses.as<float>(), with_gradient);
  });
}

}  // namespace

void CudaCrossEntropy::forward(std::span<const Tensor> logits, const Tensor& targets, std::int64_t vocabulary,
                               const Tensor& losses) const {
  run(context_.stream, logits, targets, vocabulary, losses, false);
}

void CudaCrossEntropy::forward_backward(std::span<const Tensor> logits, const Tensor& targets,
                                        std::int64_t vocabulary, const Tensor& losses) const {
  run(context_.stream, logits, targets, vocabulary, losses, true);
}

}  // namespace cola::cuda
