#include "train/benchmarks/fused_product_benchmark.h"

#include <functional>
#include <initializer_list>
#include <numeric>

#include "core/buffer.h"
#include "core/occupied_multiprocessors.h"
#include "core/separate_products.h"
#include "model/activations.h"
#include "train/configuration/precision.h"
#include "train/peak_rate.h"

namespace cola {

namespace {

/// Measures products on tensors of random values, which it keeps.
class Measurement {
 public:
  Measurement(const RunConfiguration& configuration, Device& device, int repetitions)
      : device_(device),
        repetitions_(repetitions),
        type_(compute_type_of(configuration.train.precision, device)),
        apart_(device.matmul(), device.activation(), device.rope(), device.norm()),
        gate_(configuration.model.gate_has_silu() ? GateActivation::silu : GateActivation::none),
        widths_(configuration.model),
        sequence_(configuration.data.sequence_length),
        rows_(configuration.train.micro_batch * sequence_),
        half_head_(configuration.model.head_dim() / 2) {}

  std::vector<FusedProductSeconds> run() {
    for (const auto& [name, parts, out] :
         {Readers{"q, k, v", 3, widths_.hidden}, Readers{"gate, up", 2, widths_.intermediate}})
      measure_readers(name, parts, out);
    measure_rotation();
    measure_gate();
    return std::move(results_);
  }

 private:
  using Products = const FusedProductKernels&;
  struct Readers {
    const char* name;
    std::int64_t parts, out;
  };

  Tensor random(std::initializer_list<std::int64_t> shape, DataType type) {
    const std::int64_t elements =
        std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
    memory_.emplace_back(device_, static_cast<std::size_t>(elements) * size_of(type));
    const Tensor flat = memory_.back().tensor(type, elements);
    fill_with_random(device_, flat);
    return flat.view(0, shape);
  }
  Tensor random(std::initializer_list<std::int64_t> shape) { return random(shape, type_); }

  void measure(const std::string& name, const std::function<void(Products)>& product) {
    const auto seconds_of = [&](Products products) {
      return best_seconds(device_, repetitions_, [&] { product(products); });
    };
    const auto seconds_beside = [&](int held, Beside beside) {
      const auto occupied = occupy_multiprocessors(device_, held, beside);
      return seconds_of(device_.fused_products());
    };
    FusedProductSeconds& result = results_.emplace_back();
    result.name = name;
    result.joined = seconds_of(device_.fused_products());
    result.apart = seconds_of(apart_);
    if (!device_.fused_products().joins(type_)) return;
    result.cut_up = seconds_beside(0, Beside::collective);
    result.held = seconds_beside(held_multiprocessors, Beside::unaware);
    result.held_cut_up = seconds_beside(held_multiprocessors, Beside::collective);
  }

  // Of projections that read one norm's output: its A factors, and all that their gradients pass through.
  void measure_readers(const std::string& name, std::int64_t parts, std::int64_t out) {
    const std::int64_t rank = widths_.rank, in = widths_.hidden;
    const Tensor x = random({rows_, in}), a = random({parts * rank, in}), b = random({parts, out, rank});
    const Tensor pre = random({rows_, parts * rank}), split = random({parts, rows_, rank});
    measure(name + ": A x and SiLU", [&](Products p) { p.silu_product(x, a, pre, split); });
    const Tensor d_outputs = random({parts, rows_, out}), d_pre = random({rows_, parts * rank});
    measure(name + ": dY B and SiLU's gradient",
            [&](Products p) { p.silu_product_backward(d_outputs, b, pre, split, d_pre); });
    const Tensor dy = random({rows_, in}), dx = random({rows_, in}), weight = random({in});
    const Tensor inverse_rms = random({rows_}, DataType::float32), dweight = random({in}, DataType::float32);
    const Tensor row_dots = device_.fused_products().silu_product_backward(d_outputs, b, pre, split, d_pre);
    measure(name + ": dPre A and the norm's gradient", [&](Products p) {
      p.normed_product_backward(d_pre, a, pre, row_dots, dy, {x, weight, inverse_rms, dx, dweight});
    });
  }

  void measure_rotation() {
    const Tensor split = random({3, rows_, widths_.rank}), b = random({3, widths_.hidden, widths_.rank});
    const Tensor outputs = random({3, rows_, widths_.hidden});
    const RotationTables tables{random({sequence_, half_head_}, DataType::float32),
                                random({sequence_, half_head_}, DataType::float32)};
    measure("q, k, v: B s and rotation",
            [&](Products p) { p.rotated_product(split, b, tables, 2, outputs); });
  }

  void measure_gate() {
    const std::int64_t rank = widths_.rank, wide = widths_.intermediate;
    const Tensor split = random({rows_, rank}), b = random({wide, rank}), a = random({rank, wide});
    const Tensor gate = random({rows_, wide}), up = random({rows_, wide}), product = random({rows_, wide});
    measure("up: B s and gate times up",
            [&](Products p) { p.gated_product(gate_, split, b, gate, up, product); });
    measure("down: dPre A and the gate's gradients",
            [&](Products p) { p.gated_product_backward(gate_, split, a, product, gate, up); });
  }

  Device& device_;
  int repetitions_;
  DataType type_;
  SeparateProducts apart_;
  GateActivation gate_;
  BlockWidths widths_;
  std::int64_t sequence_, rows_, half_head_;
  std::vector<Buffer> memory_;
  std::vector<FusedProductSeconds> results_;
};

}  // namespace

std::vector<FusedProductSeconds> measure_fused_products(const RunConfiguration& configuration, Device& device,
                                                        int repetitions) {
  const BlockWidths widths(configuration.model);
  if (widths.rank == 0 || widths.kv != widths.hidden) return {};
  return Measurement(configuration, device, repetitions).run();
}

}  // namespace cola
