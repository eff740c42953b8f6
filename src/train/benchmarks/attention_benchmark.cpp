#include "train/benchmarks/attention_benchmark.h"

#include <utility>

#include "core/buffer.h"
#include "core/kernels/attention.h"
#include "train/configuration/precision.h"
#include "train/peak_rate.h"

namespace cola {

AttentionSeconds measure_attention(const RunConfiguration& configuration, Device& device, int repetitions) {
  const ModelConfiguration& model = configuration.model;
  const AttentionShape shape{configuration.train.micro_batch, configuration.data.sequence_length,
                             model.num_attention_heads, model.num_key_value_heads, model.head_dim()};
  const DataType type = compute_type_of(configuration.train.precision, device);
  const std::int64_t rows = shape.batch * shape.sequence, width = shape.heads * shape.head_dim,
                     key_width = shape.kv_heads * shape.head_dim;
  const Buffer memory(device, static_cast<std::size_t>(rows * 4 * (width + key_width)) * size_of(type));
  std::int64_t used = 0;
  const auto next = [&](std::int64_t columns) {
    const Tensor all = memory.tensor(type, rows * 4 * (width + key_width));
    return all.view(std::exchange(used, used + rows * columns), {rows, columns});
  };
  const Tensor q = next(width), out = next(width), dout = next(width), dq = next(width);
  const Tensor k = next(key_width), v = next(key_width), dk = next(key_width), dv = next(key_width);
  const Buffer statistics(device, static_cast<std::size_t>(rows * shape.heads) * sizeof(float));
  const Tensor log_sum_exp = statistics.tensor(DataType::float32, rows * shape.heads);
  const std::int64_t half = shape.head_dim / 2;
  const Buffer angles(device, static_cast<std::size_t>(2 * shape.sequence * half) * sizeof(float));
  const Tensor both = angles.tensor(DataType::float32, 2 * shape.sequence * half);
  const RotationTables tables{both.view(0, {shape.sequence, half}),
                              both.view(shape.sequence * half, {shape.sequence, half})};
  for (const Tensor& input : {q, k, v, dout, both}) fill_with_random(device, input);
  const AttentionKernels& attention = device.attention();
  AttentionSeconds seconds;
  seconds.forward = best_seconds(device, repetitions, [&] {
    attention.forward(shape, {q, k, v}, {out, log_sum_exp});
  });
  seconds.backward = best_seconds(device, repetitions, [&] {
    attention.backward(shape, {q, k, v}, {out, log_sum_exp}, dout, tables, {dq, dk, dv});
  });
  seconds.implementation = attention.implementation(shape, type);
  return seconds;
}

}  // namespace cola
