#include "model/head.h"

#include <algorithm>

#include "core/kernels/cross_entropy.h"
#include "core/kernels/matmul.h"
#include "core/kernels/norm.h"
#include "core/kernels/reduce.h"

namespace cola {

namespace {

// Large enough for the product to run at full speed, small enough that the logits stay a small part of the
// memory.
constexpr std::int64_t chunk_rows = 512;

}  // namespace

HeadActivations allocate_head(Arena& arena, const ModelConfiguration& configuration, DataType type,
                              std::int64_t rows) {
  const std::int64_t width = configuration.hidden_size;
  return {arena.allocate(type, {rows, width}), arena.allocate(type, {rows, width}),
          arena.allocate(DataType::float32, {rows}),
          arena.allocate(type, {std::min(rows, chunk_rows), storage_width(configuration.vocab_size)}),
          arena.allocate(DataType::float32, {rows})};
}

Head::Head(const ParameterTable& table)
    : norm_(table.find("model.norm.weight")),
      matrix_(table.find("lm_head.weight")),
      epsilon_(static_cast<float>(table.configuration().rms_norm_eps)) {}

Tensor Head::matrix(const Tensor& unit) const {
  return unit.view(matrix_.offset, {matrix_.stored_rows, matrix_.stored_columns});
}

Tensor Head::norm_of(const Tensor& unit) const {
  return unit.view(norm_.offset, {norm_.stored_columns});
}

void Head::normalize(const Pass& pass, const Tensor& weights, const ResidualStream& stream,
                     const HeadActivations& memory) const {
  const std::int64_t n = pass.rows();
  pass.device.norm().residual_forward(stream.residual, stream.delta, norm_of(weights), epsilon_,
                                      memory.input.rows(0, n), memory.norm.rows(0, n),
                                      memory.inverse_rms.rows(0, n));
}

void Head::read_logits(const Pass& pass, const Tensor& weights, const ResidualStream& stream,
                       const HeadActivations& memory, const LogitsReader& reader) const {
  normalize(pass, weights, stream, memory);
  const std::int64_t n = pass.rows(), chunk = memory.logits.dim(0);
  for (std::int64_t first = 0; first < n; first += chunk) {
    const std::int64_t last = std::min(n, first + chunk);
    const Tensor logits = memory.logits.rows(0, last - first);
    pass.device.matmul().multiply(memory.norm.rows(first, last), Transpose::no, matrix(weights),
                                  Transpose::yes, logits, Accumulate::no);
    reader(first, logits);
  }
}

double Head::forward(const Pass& pass, const Tensor& weights, const ResidualStream& stream,
                     const Tensor& targets, const HeadActivations& memory) const {
  read_logits(pass, weights, stream, memory, [&](std::int64_t first, const Tensor& logits) {
    const std::int64_t last = first + logits.dim(0);
    pass.device.cross_entropy().forward(logits, targets.rows(first, last), matrix_.rows,
                                        memory.losses.rows(first, last));
  });
  return pass.device.reduce().sum(memory.losses.rows(0, pass.rows()));
}

double Head::forward_backward(const Pass& pass, const Tensor& weights, const Tensor& gradients,
                              const ResidualStream& stream, const Tensor& targets,
                              const HeadActivations& memory, const Workspace& workspace) const {
  const std::int64_t n = pass.rows();
  read_logits(pass, weights, stream, memory, [&](std::int64_t first, const Tensor& logits) {
    const std::int64_t last = first + logits.dim(0);
    const MatmulKernels& matmul = pass.device.matmul();
    pass.device.cross_entropy().forward_backward(logits, targets.rows(first, last), matrix_.rows,
                                                 memory.losses.rows(first, last));
    matmul.multiply(logits, Transpose::yes, memory.norm.rows(first, last), Transpose::no, matrix(gradients),
                    Accumulate::yes);
    matmul.multiply(logits, Transpose::no, matrix(weights), Transpose::no, workspace.d_norm.rows(first, last),
                    Accumulate::no);
  });
  pass.device.fill_bytes(workspace.d_stream.data(), 0, workspace.d_stream.bytes());
  pass.device.norm().backward(workspace.d_norm, memory.input.rows(0, n), norm_of(weights),
                              memory.inverse_rms.rows(0, n), workspace.d_stream, norm_of(gradients));
  return pass.device.reduce().sum(memory.losses.rows(0, n));
}

}  // namespace cola
