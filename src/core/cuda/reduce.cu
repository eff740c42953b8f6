#include <algorithm>

#include "core/cuda/block_sum.h"
#include "core/cuda/check.h"
#include "core/cuda/kernels.h"
#include "core/cuda/launch_shapes.h"
#include "core/cuda/pack.h"
#include "core/cuda/type_dispatch.h"

namespace cola::cuda {

namespace {

// Blocks are summed one by one, then their sums: as many on every GPU, so that the result depends on nothing
// but the values.
constexpr int most_blocks = 1024;
constexpr int batch = 4;  // packs a thread at a time

struct Value {
  __device__ static double of(double x) { return x; }
};
struct Square {
  __device__ static double of(double x) { return x * x; }
};

template <typename Term, int width>
__global__ void __launch_bounds__(flat_threads)
    sum_terms_kernel(const float* values, std::int64_t elements, double* sums) {
  const std::int64_t step = std::int64_t{flat_threads} * width * gridDim.x;
  double sum = 0;
  for (std::int64_t i = flat_index(width); i < elements; i += batch * step) {
    Pack<float, width> packs[batch];  // all asked for before the first is used
#pragma unroll
    for (int b = 0; b < batch; ++b)
      packs[b] =
          i + b * step < elements ? Pack<float, width>::load(values + i + b * step) : Pack<float, width>{};
#pragma unroll
    for (const auto& pack : packs)
#pragma unroll
      for (const float value : pack.values) sum += Term::of(value);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One block, a thread a sum: total = their sum, or total += their sum. Total may be the first of them.
__global__ void __launch_bounds__(most_blocks)
    add_sums_kernel(const double* sums, int count, double* total, bool accumulate) {
  const int i = static_cast<int>(threadIdx.x);
  const double sum = block_sum(i < count ? sums[i] : 0.0);
  if (i == 0) *total = accumulate ? *total + sum : sum;
}

template <typename Term>
void sum_terms(const Context& context, const Tensor& values, double* total, bool accumulate) {
  const std::int64_t elements = values.elements();
  auto* const sums = static_cast<double*>(context.scratch);
  const bool aligned = rows_are_aligned(elements, values.type(), values.data());
  LaunchShape shape = flat_shape(elements, aligned ? full_width<float> : 1);
  shape.blocks.x = std::min<unsigned>(shape.blocks.x, most_blocks);
  launch("sum", aligned ? sum_terms_kernel<Term, full_width<float>> : sum_terms_kernel<Term, 1>, shape,
         context.stream, values.as<float>(), elements, sums);
  launch("sum", add_sums_kernel, LaunchShape{dim3(1), dim3(most_blocks)}, context.stream, sums,
         static_cast<int>(shape.blocks.x), total, accumulate);
}

template <typename From, typename To, int width>
__global__ void convert_kernel(const From* source, To* destination, std::int64_t elements) {
  const std::int64_t i = flat_index(width);
  if (i >= elements) return;
  const auto pack = Pack<From, width>::load(source + i);
  Pack<To, width> converted;
#pragma unroll
  for (int e = 0; e < width; ++e) converted.values[e] = pack.values[e];
  converted.store(destination + i);
}

// Packs are of as many elements on both sides: 16 bytes on the fp32 side.
template <typename From, typename To>
void convert_types(cudaStream_t stream, const Tensor& source, const Tensor& destination) {
  constexpr int width = full_width<float>;
  const std::int64_t elements = source.elements();
  const bool aligned = rows_are_aligned(elements, DataType::float32, source.data(), destination.data());
  launch("convert", aligned ? convert_kernel<From, To, width> : convert_kernel<From, To, 1>,
         flat_shape(elements, aligned ? width : 1), stream, data<From>(source), data<To>(destination),
         elements);
}

}  // namespace

double CudaReduce::sum_of_squares(const Tensor& values) const {
  if (values.elements() == 0) return 0;
  auto* const sum = static_cast<double*>(context_.scratch);
  sum_terms<Square>(context_, values, sum, false);
  double total = 0;
  check(cudaMemcpyAsync(&total, sum, sizeof(total), cudaMemcpyDeviceToHost, context_.stream),
        "copying a sum to host memory");
  check(cudaStreamSynchronize(context_.stream), "the work up to a sum");
  return total;
}

void CudaReduce::add_sum(const Tensor& values, const Tensor& total) const {
  if (values.elements() == 0) return;
  sum_terms<Value>(context_, values, total.as<double>(), true);
}

void CudaReduce::convert(const Tensor& source, const Tensor& destination) const {
  require(source.elements() == destination.elements(), "convert: source and destination differ in size");
  if (source.elements() == 0) return;
  if (source.type() == destination.type())
    check(cudaMemcpyAsync(destination.data(), source.data(), source.bytes(), cudaMemcpyDeviceToDevice,
                          context_.stream),
          "copying a tensor");
  else if (source.type() == DataType::float32)
    convert_types<float, __nv_bfloat16>(context_.stream, source, destination);
  else
    convert_types<__nv_bfloat16, float>(context_.stream, source, destination);
}

}  // namespace cola::cuda
