// Single CPU kernels at the shapes of the 60m model, for comparing two versions of one: kernel_benchmarks
// --benchmark_filter=Norm. Counters are operations or bytes a second.
#include <benchmark/benchmark.h>

#include <vector>

#include "core/buffer.h"
#include "core/device.h"
#include "core/kernels/activation.h"
#include "core/kernels/cross_entropy.h"
#include "core/kernels/matmul.h"
#include "core/kernels/norm.h"
#include "core/kernels/reduce.h"
#include "core/philox.h"

namespace {

using namespace cola;

constexpr std::int64_t rows = 2048, width = 512, intermediate = 1376, rank = 128;

/// A device and tensors of random bf16 values on it.
class Bench {
 public:
  Tensor random(std::initializer_list<std::int64_t> shape, DataType type = DataType::bfloat16) {
    const Tensor described(nullptr, type, shape);
    std::vector<float> values(static_cast<std::size_t>(described.elements()));
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(philox(7, i)[0]) * 0x1p-31f - 1.0f;
    buffers_.emplace_back(*device, described.bytes());
    const Tensor tensor(buffers_.back().data(), type, shape);
    device->reduce().convert(Tensor::of(std::span<float>(values)), tensor);
    return tensor;
  }

  std::unique_ptr<Device> device = make_cpu_device();

 private:
  std::vector<Buffer> buffers_;
};

void count_operations(benchmark::State& state, double operations) {
  state.counters["FLOP"] = benchmark::Counter(operations, benchmark::Counter::kIsIterationInvariantRate);
}
void count_bytes(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * static_cast<std::int64_t>(state.iterations()));
}

/// y = x a^T: [rows, in] by [out, in].
void ForwardProduct(benchmark::State& state) {
  Bench bench;
  const std::int64_t in = state.range(0), out = state.range(1);
  const Tensor x = bench.random({rows, in}), a = bench.random({out, in}), y = bench.random({rows, out});
  for (auto _ : state)
    bench.device->matmul().multiply(x, Transpose::no, a, Transpose::yes, y, Accumulate::no);
  count_operations(state, 2.0 * rows * static_cast<double>(in * out));
}
BENCHMARK(ForwardProduct)
    ->Args({width, 3 * rank})
    ->Args({rank, width})
    ->Args({rank, intermediate})
    ->UseRealTime();

/// da += dy^T x, in fp32.
void WeightGradient(benchmark::State& state) {
  Bench bench;
  const std::int64_t in = state.range(0), out = state.range(1);
  const Tensor x = bench.random({rows, in}), dy = bench.random({rows, out});
  const Tensor da = bench.random({out, in}, DataType::float32);
  for (auto _ : state)
    bench.device->matmul().multiply(dy, Transpose::yes, x, Transpose::no, da, Accumulate::yes);
  count_operations(state, 2.0 * rows * static_cast<double>(in * out));
}
BENCHMARK(WeightGradient)
    ->Args({width, 3 * rank})
    ->Args({rank, width})
    ->Args({rank, intermediate})
    ->UseRealTime();

void ProductAddedToResidual(benchmark::State& state) {
  Bench bench;
  const Tensor x = bench.random({rows, rank}), b = bench.random({width, rank});
  const Tensor residual = bench.random({rows, width}), sum = bench.random({rows, width});
  for (auto _ : state)
    bench.device->matmul().multiply_add(x, Transpose::no, b, Transpose::yes, residual, sum);
  count_operations(state, 2.0 * rows * static_cast<double>(width * rank));
}
BENCHMARK(ProductAddedToResidual)->UseRealTime();

void Norm(benchmark::State& state) {
  Bench bench;
  const Tensor x = bench.random({rows, width}), y = bench.random({rows, width});
  const Tensor weight = bench.random({width}), inverse_rms = bench.random({rows}, DataType::float32);
  for (auto _ : state) bench.device->norm().forward(x, weight, 1e-6f, y, inverse_rms);
  count_bytes(state, 2 * x.bytes());
}
BENCHMARK(Norm)->UseRealTime();

void SiluSplit(benchmark::State& state) {
  Bench bench;
  const Tensor joined = bench.random({rows, 3 * rank}), split = bench.random({3, rows, rank});
  for (auto _ : state) bench.device->activation().silu_split(joined, split);
  count_bytes(state, 2 * joined.bytes());
}
BENCHMARK(SiluSplit)->UseRealTime();

void CrossEntropy(benchmark::State& state) {
  Bench bench;
  constexpr std::int64_t tile_rows = 512, tile_width = 768, tile_count = 40;
  std::vector<Tensor> tiles;
  for (std::int64_t tile = 0; tile < tile_count; ++tile)
    tiles.push_back(bench.random({tile_rows, tile_width}));
  std::vector<std::int32_t> ids(tile_rows, 5);
  const Tensor losses = bench.random({tile_rows}, DataType::float32);
  for (auto _ : state)
    bench.device->cross_entropy().forward_backward(tiles, Tensor::of(std::span<std::int32_t>(ids)),
                                                   tile_count * tile_width, losses);
  count_bytes(state, 4 * tile_count * tiles.front().bytes());  // read three times, written once
}
BENCHMARK(CrossEntropy)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
