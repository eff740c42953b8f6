// Causal attention in tiles of query rows: a tile's scores against all keys before it exist, nothing more.
// One thread takes one (sequence, key-value head) at a time; its heads are packed densely so that products
// take the fast path.
#include <cmath>
#include <limits>
#include <vector>

#include "core/cpu/kernels.h"
#include "core/cpu/parallel.h"
#include "core/cpu/vector_math.h"

namespace cola::cpu {

namespace {
constexpr std::int64_t tile_rows = 64;
}

/// What one thread needs: its own products, and memory for packed heads and tiles, grown to the largest use.
struct CpuAttention::Worker {
  LoadedProducts products;
  std::vector<std::byte> memory;

  /// Starts handing out memory of `bytes` in total.
  void reserve(std::size_t bytes) {
    if (memory.size() < bytes + alignment) memory.resize(bytes + alignment);
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    next = memory.data() + (alignment - address % alignment) % alignment;
  }
  template <typename T>
  T* take(std::int64_t elements) {
    T* taken = reinterpret_cast<T*>(next);
    next += rounded(elements, sizeof(T));
    return taken;
  }
  static std::size_t rounded(std::int64_t elements, std::size_t size) {
    return (static_cast<std::size_t>(elements) * size + alignment - 1) / alignment * alignment;
  }

  static constexpr std::size_t alignment = 64;
  std::byte* next = nullptr;
};

CpuAttention::CpuAttention() = default;
CpuAttention::~CpuAttention() = default;

std::vector<std::unique_ptr<CpuAttention::Worker>>& CpuAttention::workers() const {
  while (workers_.size() < static_cast<std::size_t>(omp_get_max_threads()))
    workers_.push_back(std::make_unique<Worker>());
  return workers_;
}

namespace {

using Worker = CpuAttention::Worker;

// c (+)= op(a) op(b), inside a parallel region.
template <typename T, typename Out>
void multiply(Worker& worker, std::int64_t m, std::int64_t n, std::int64_t k, const T* a,
              Transpose transpose_a, const T* b, Transpose transpose_b, Out* c,
              Accumulate accumulate = Accumulate::no) {
  worker.products.multiply(
      {m, n, k, transpose_a, transpose_b, data_type_of<T>(), data_type_of<Out>(), accumulate}, a, b, c);
}

// Head `head` of one sequence between its place in [sequence, heads * dim] and a dense [sequence, dim].
template <typename T>
void pack(const T* from, std::int64_t sequence, std::int64_t heads, std::int64_t head, std::int64_t dim,
          T* to) {
  for (std::int64_t t = 0; t < sequence; ++t) std::copy_n(from + (t * heads + head) * dim, dim, to + t * dim);
}

template <typename From, typename T>
void unpack(const From* from, std::int64_t sequence, std::int64_t heads, std::int64_t head, std::int64_t dim,
            T* to) {
  for (std::int64_t t = 0; t < sequence; ++t) {
    const From* row = from + t * dim;
    T* out = to + (t * heads + head) * dim;
#pragma omp simd
    for (std::int64_t i = 0; i < dim; ++i) out[i] = static_cast<float>(row[i]);
  }
}

// Softmax of one row of scores over its first `visible` entries, zeros after; returns the log-sum-exp.
template <typename T>
float softmax_row(const float* scores, std::int64_t visible, std::int64_t columns, float scale,
                  T* probabilities) {
  float largest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : largest)
  for (std::int64_t j = 0; j < visible; ++j) largest = scores[j] > largest ? scores[j] : largest;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < visible; ++j) sum += exp_nonpositive((scores[j] - largest) * scale);
  const float log_sum_exp = largest * scale + std::log(sum);
#pragma omp simd
  for (std::int64_t j = 0; j < visible; ++j)
    probabilities[j] = exp_nonpositive(scores[j] * scale - log_sum_exp);
  std::fill(probabilities + visible, probabilities + columns, T(0.0f));
  return log_sum_exp;
}

// One row of the backward pass: probabilities again from the scores, and the scores' gradient
// probabilities * (d_probabilities - delta) * scale, with delta = dot(dout, out).
template <typename T>
void softmax_backward_row(const float* scores, const float* d_probabilities, std::int64_t visible,
                          std::int64_t columns, float scale, float log_sum_exp, float delta, T* probabilities,
                          T* d_scores) {
#pragma omp simd
  for (std::int64_t j = 0; j < visible; ++j) {
    const float probability = exp_nonpositive(scores[j] * scale - log_sum_exp);
    probabilities[j] = probability;
    d_scores[j] = probability * (d_probabilities[j] - delta) * scale;
  }
  std::fill(probabilities + visible, probabilities + columns, T(0.0f));
  std::fill(d_scores + visible, d_scores + columns, T(0.0f));
}

template <typename T>
float dot(const T* a, const T* b, std::int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<float>(a[i]) * static_cast<float>(b[i]);
  return sum;
}

// The heads of one sequence that share a key-value head.
template <typename T>
struct Sequence {
  const AttentionShape& shape;
  std::int64_t batch, kv_head;

  std::int64_t group() const { return shape.heads / shape.kv_heads; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape.head_dim)); }
  T* queries(const Tensor& x) const {
    return x.as<T>() + batch * shape.sequence * shape.heads * shape.head_dim;
  }
  T* keys(const Tensor& x) const {
    return x.as<T>() + batch * shape.sequence * shape.kv_heads * shape.head_dim;
  }
  float* log_sum_exp(const Tensor& x, std::int64_t head) const {
    return x.as<float>() + (batch * shape.heads + head) * shape.sequence;
  }
};

template <typename T>
void forward_sequence(const Sequence<T>& work, Worker& worker, const AttentionInputs& in,
                      const AttentionOutputs& to) {
  const auto [batch, length, heads, kv_heads, dim] = work.shape;
  const std::int64_t head_elements = length * dim, tile_elements = tile_rows * length;
  worker.reserve(4 * Worker::rounded(head_elements, sizeof(T)) + Worker::rounded(tile_elements, sizeof(T)) +
                 Worker::rounded(tile_elements, sizeof(float)));
  T *query = worker.take<T>(head_elements), *key = worker.take<T>(head_elements),
    *value = worker.take<T>(head_elements);
  T *result = worker.take<T>(head_elements), *probabilities = worker.take<T>(tile_elements);
  float* scores = worker.take<float>(tile_elements);
  pack(work.keys(in.k), length, kv_heads, work.kv_head, dim, key);
  pack(work.keys(in.v), length, kv_heads, work.kv_head, dim, value);
  for (std::int64_t head = work.kv_head * work.group(); head < (work.kv_head + 1) * work.group(); ++head) {
    pack(work.queries(in.q), length, heads, head, dim, query);
    float* kept = work.log_sum_exp(to.log_sum_exp, head);
    for (std::int64_t first = 0; first < length; first += tile_rows) {
      const std::int64_t rows = std::min(tile_rows, length - first), columns = first + rows;
      multiply(worker, rows, columns, dim, query + first * dim, Transpose::no, key, Transpose::yes, scores);
      for (std::int64_t r = 0; r < rows; ++r)
        kept[first + r] = softmax_row(scores + r * columns, first + r + 1, columns, work.scale(),
                                      probabilities + r * columns);
      multiply(worker, rows, dim, columns, probabilities, Transpose::no, value, Transpose::no,
               result + first * dim);
    }
    unpack(result, length, heads, head, dim, work.queries(to.out));
  }
}

template <typename T>
void backward_sequence(const Sequence<T>& work, Worker& worker, const AttentionInputs& in,
                       const AttentionOutputs& kept, const Tensor& dout, const AttentionGradients& to) {
  const auto [batch, length, heads, kv_heads, dim] = work.shape;
  const std::int64_t head_elements = length * dim, tile_elements = tile_rows * length;
  worker.reserve(
      6 * Worker::rounded(head_elements, sizeof(T)) + 2 * Worker::rounded(head_elements, sizeof(float)) +
      2 * Worker::rounded(tile_elements, sizeof(T)) + 2 * Worker::rounded(tile_elements, sizeof(float)));
  T *query = worker.take<T>(head_elements), *key = worker.take<T>(head_elements),
    *value = worker.take<T>(head_elements);
  T *result = worker.take<T>(head_elements), *d_result = worker.take<T>(head_elements);
  T* d_query = worker.take<T>(head_elements);
  float *d_key = worker.take<float>(head_elements), *d_value = worker.take<float>(head_elements);
  T *probabilities = worker.take<T>(tile_elements), *d_scores = worker.take<T>(tile_elements);
  float *scores = worker.take<float>(tile_elements), *d_probabilities = worker.take<float>(tile_elements);
  pack(work.keys(in.k), length, kv_heads, work.kv_head, dim, key);
  pack(work.keys(in.v), length, kv_heads, work.kv_head, dim, value);
  std::fill_n(d_key, head_elements, 0.0f);
  std::fill_n(d_value, head_elements, 0.0f);
  for (std::int64_t head = work.kv_head * work.group(); head < (work.kv_head + 1) * work.group(); ++head) {
    pack(work.queries(in.q), length, heads, head, dim, query);
    pack(work.queries(kept.out), length, heads, head, dim, result);
    pack(work.queries(dout), length, heads, head, dim, d_result);
    const float* normalizers = work.log_sum_exp(kept.log_sum_exp, head);
    for (std::int64_t first = 0; first < length; first += tile_rows) {
      const std::int64_t rows = std::min(tile_rows, length - first), columns = first + rows;
      const T *query_tile = query + first * dim, *d_tile = d_result + first * dim;
      multiply(worker, rows, columns, dim, query_tile, Transpose::no, key, Transpose::yes, scores);
      multiply(worker, rows, columns, dim, d_tile, Transpose::no, value, Transpose::yes, d_probabilities);
      for (std::int64_t r = 0; r < rows; ++r)
        softmax_backward_row(scores + r * columns, d_probabilities + r * columns, first + r + 1, columns,
                             work.scale(), normalizers[first + r],
                             dot(d_tile + r * dim, result + (first + r) * dim, dim),
                             probabilities + r * columns, d_scores + r * columns);
      multiply(worker, columns, dim, rows, probabilities, Transpose::yes, d_tile, Transpose::no, d_value,
               Accumulate::yes);
      multiply(worker, columns, dim, rows, d_scores, Transpose::yes, query_tile, Transpose::no, d_key,
               Accumulate::yes);
      multiply(worker, rows, dim, columns, d_scores, Transpose::no, key, Transpose::no,
               d_query + first * dim);
    }
    unpack(d_query, length, heads, head, dim, work.queries(to.dq));
  }
  unpack(d_key, length, kv_heads, work.kv_head, dim, work.keys(to.dk));
  unpack(d_value, length, kv_heads, work.kv_head, dim, work.keys(to.dv));
}

// Calls body(sequence, worker) for every (sequence, key-value head), each on one thread.
template <typename T, typename Body>
void for_each_sequence(const AttentionShape& shape, std::vector<std::unique_ptr<Worker>>& threads,
                       Body&& body) {
  FirstException failure;
#pragma omp parallel for schedule(static)
  for (std::int64_t item = 0; item < shape.batch * shape.kv_heads; ++item)
    failure.guard([&] {
      body(Sequence<T>{shape, item / shape.kv_heads, item % shape.kv_heads},
           *threads[static_cast<std::size_t>(omp_get_thread_num())]);
    });
  failure.rethrow();
}

}  // namespace

void CpuAttention::forward(const AttentionShape& shape, const AttentionInputs& in,
                           const AttentionOutputs& to) const {
  for_type(in.q.type(), [&]<typename T>() {
    for_each_sequence<T>(shape, workers(), [&](const Sequence<T>& work, Worker& worker) {
      forward_sequence(work, worker, in, to);
    });
  });
}

void CpuAttention::backward(const AttentionShape& shape, const AttentionInputs& in,
                            const AttentionOutputs& kept, const Tensor& dout, const RotationTables& tables,
                            const AttentionGradients& to) const {
  for_type(in.q.type(), [&]<typename T>() {
    for_each_sequence<T>(shape, workers(), [&](const Sequence<T>& work, Worker& worker) {
      backward_sequence(work, worker, in, kept, dout, to);
    });
  });
  rotate_back(CpuRope(), shape, tables, to);
}

}  // namespace cola::cpu
