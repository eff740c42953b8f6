#include <algorithm>
#include <limits>

#include "core/cuda/block_sum.h"
#include "core/cuda/check.h"
#include "core/cuda/kernels.h"
#include "core/cuda/launch_shapes.h"
#include "core/cuda/pack.h"
#include "core/cuda/type_dispatch.h"
#include "core/divide_up.h"

namespace cola::cuda {

namespace {

// A block a token.
template <typename T, int width>
__global__ void embedding_kernel(const std::int32_t* ids, const T* table, T* out, int columns) {
  const T* const from = table + std::int64_t{ids[blockIdx.x]} * columns;
  T* const to = out + blockIdx.x * std::int64_t{columns};
  for (int c = static_cast<int>(threadIdx.x) * width; c < columns; c += static_cast<int>(blockDim.x) * width)
    RawPack<T, width>::load(from + c).store(to + c);
}

// The gradient is summed id by id, in two kernels. The first sorts the tokens by id, equal ids in the order
// of the tokens. It compares each token with each: quick for as many as this; more are worked on in turn.
constexpr int tokens_at_a_time = 16384;
constexpr int threads = 256, warps = threads / warp_size;

struct Occurrence {
  std::int32_t id, token;
};
static_assert(tokens_at_a_time * sizeof(Occurrence) <= Context::scratch_bytes);

constexpr int tokens_of_warp = 4;

// Adds to every counts[t] how many of ids [begin, end) are below limits[t], of those that fall to this lane.
__device__ void count_below(const std::int32_t* ids, int begin, int end, const int (&limits)[tokens_of_warp],
                            int (&counts)[tokens_of_warp]) {
  constexpr int batch = 4;  // ids that a lane asks for at a time
  for (int i = begin + lane_index(); i < end; i += batch * warp_size) {
    int batch_ids[batch];
#pragma unroll
    for (int b = 0; b < batch; ++b)
      batch_ids[b] = i + b * warp_size < end ? ids[i + b * warp_size] : std::numeric_limits<int>::max();
#pragma unroll
    for (const int id : batch_ids)
#pragma unroll
      for (int t = 0; t < tokens_of_warp; ++t) counts[t] += id < limits[t];
  }
}

// A warp four tokens. A token's place is the number of tokens with a smaller id and of those before it with
// the same id.
__global__ void __launch_bounds__(threads)
    sort_tokens_kernel(const std::int32_t* ids, int count, Occurrence* sorted) {
  const int first = (static_cast<int>(blockIdx.x) * warps + warp_index()) * tokens_of_warp;
  if (first >= count) return;
  int own[tokens_of_warp], above_own[tokens_of_warp], place[tokens_of_warp] = {};
#pragma unroll
  for (int t = 0; t < tokens_of_warp; ++t) {
    own[t] = ids[min(first + t, count - 1)];
    above_own[t] = own[t] + 1;
  }
  count_below(ids, 0, first, above_own, place);
  count_below(ids, first, count, own, place);
#pragma unroll
  for (int t = 0; t < tokens_of_warp; ++t) {
    place[t] = warp_sum(place[t]);
    for (int before = 0; before < t; ++before) place[t] += own[before] == own[t];
    if (lane_index() == 0 && first + t < count) sorted[place[t]] = {own[t], first + t};
  }
}

// Where the run of equal ids that begins at `begin` ends: by steps that double, then by halving.
__device__ int end_of_run(const Occurrence* sorted, int begin, int count) {
  const int id = sorted[begin].id;
  int step = 1;
  while (begin + step < count && sorted[begin + step].id == id) step *= 2;
  int inside = begin + step / 2, beyond = min(begin + step, count);
  while (beyond - inside > 1) {
    const int middle = (inside + beyond) / 2;
    (sorted[middle].id == id ? inside : beyond) = middle;
  }
  return beyond;
}

constexpr int places_of_block = 32;

// d_table[id] += the sum of d_out over the tokens with that id. A block walks over the runs of equal ids that
// begin in its 32 places, for a warp's width of columns: its warps share the tokens of a run, and then add
// their sums. Splitting runs keeps one frequent id, such as padding, from taking most of the time.
template <typename T, int width>
__global__ void __launch_bounds__(threads)
    add_runs_kernel(const Occurrence* sorted, int count, const T* d_out, int columns, float* d_table) {
  constexpr int block_columns = warp_size * width;
  alignas(16) __shared__ float sums[warps][block_columns];
  const int first_column = static_cast<int>(blockIdx.y) * block_columns, lane_column = lane_index() * width;
  const int last_place = min(count, static_cast<int>(blockIdx.x + 1) * places_of_block);
  for (int begin = static_cast<int>(blockIdx.x) * places_of_block; begin < last_place; ++begin) {
    const int id = sorted[begin].id;
    if (begin > 0 && sorted[begin - 1].id == id) continue;
    const int end = end_of_run(sorted, begin, count);
    Pack<float, width> sum = {};
    if (first_column + lane_column < columns)
#pragma unroll 4
      for (int place = begin + warp_index(); place < end; place += warps) {
        const std::int64_t row = sorted[place].token * std::int64_t{columns};
        const auto added = Pack<T, width>::load(d_out + row + first_column + lane_column);
#pragma unroll
        for (int e = 0; e < width; ++e) sum.values[e] += added.values[e];
      }
    sum.store(&sums[warp_index()][lane_column]);
    __syncthreads();
    const int used_warps = min(warps, end - begin), column = first_column + static_cast<int>(threadIdx.x);
    static_assert(block_columns <= threads);
    if (threadIdx.x < block_columns && column < columns) {
      float total = 0;
      for (int warp = 0; warp < used_warps; ++warp) total += sums[warp][threadIdx.x];
      d_table[id * std::int64_t{columns} + column] += total;
    }
    __syncthreads();
  }
}

}  // namespace

void CudaEmbedding::forward(const Tensor& ids, const Tensor& table, const Tensor& out) const {
  const std::int64_t rows = ids.elements(), columns = table.dim(1);
  require(out.type() == table.type() && out.dim(0) == rows && out.dim(1) == columns,
          "embedding: the output differs from ids and table in shape or type");
  if (out.elements() == 0) return;
  const bool aligned = rows_are_aligned(columns, table.type(), table.data(), out.data());
  dispatch(table.type(), aligned, [&]<typename T, int width>() {
    launch("embedding", embedding_kernel<T, width>, row_shape(rows, columns, width), context_.stream,
           ids.as<std::int32_t>(), data<T>(table), data<T>(out), static_cast<int>(columns));
  });
}

void CudaEmbedding::backward(const Tensor& ids, const Tensor& d_out, const Tensor& d_table) const {
  const std::int64_t rows = ids.elements(), columns = d_table.dim(1);
  if (d_out.elements() == 0) return;
  auto* const sorted = static_cast<Occurrence*>(context_.scratch);
  const bool aligned = rows_are_aligned(columns, d_out.type(), d_out.data());
  dispatch(d_out.type(), aligned, [&]<typename T, int width>() {
    for (std::int64_t first = 0; first < rows; first += tokens_at_a_time) {
      const int count = static_cast<int>(std::min<std::int64_t>(rows - first, tokens_at_a_time));
      launch(
          "embedding_sort", sort_tokens_kernel,
          LaunchShape{dim3(static_cast<unsigned>(divide_up(count, warps * tokens_of_warp))), dim3(threads)},
          context_.stream, ids.as<std::int32_t>() + first, count, sorted);
      launch("embedding_backward", add_runs_kernel<T, width>,
             LaunchShape{dim3(static_cast<unsigned>(divide_up(count, places_of_block)),
                              static_cast<unsigned>(divide_up(columns, warp_size * width))),
                         dim3(threads)},
             context_.stream, sorted, count, data<T>(d_out) + first * columns, static_cast<int>(columns),
             d_table.as<float>());
    }
  });
}

}  // namespace cola::cuda
