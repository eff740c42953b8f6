#include "core/observed_device.h"

#include <fmt/format.h>

#include <span>
#include <utility>

#include "core/kernels/activation.h"
#include "core/kernels/adamw.h"
#include "core/kernels/attention.h"
#include "core/kernels/cross_entropy.h"
#include "core/kernels/embedding.h"
#include "core/kernels/fused_product.h"
#include "core/kernels/matmul.h"
#include "core/kernels/norm.h"
#include "core/kernels/reduce.h"
#include "core/kernels/rope.h"
#include "core/separate_products.h"

namespace cola {

// Notes calls for an ObservedDevice.
class Observer {
 public:
  explicit Observer(ObservedDevice& owner) : owner_(owner) {}

  struct NoShape {
    std::string operator()() const { return {}; }
  };

  // `shape` is asked for its text only while calls are noted.
  template <typename Call, typename Shape = NoShape>
  auto operator()(const char* name, double operations, double bytes, Call&& call,
                  const Shape& shape = {}) const {
    if (!owner_.observing_) return call();
    struct Note {  // the end is marked when the call has returned, whatever it returns
      ObservedDevice& owner;
      KernelCall noted;
      ~Note() {
        noted.end = owner.mark_time();
        owner.calls_.push_back(std::move(noted));
      }
    } note{owner_, {name, shape(), operations, bytes, owner_.mark_time(), nullptr}};
    return call();
  }

 protected:
  template <typename... Tensors>
  static double bytes_of(const Tensors&... tensors) {
    return (static_cast<double>(tensors.empty() ? 0 : tensors.bytes()) + ...);
  }

 private:
  ObservedDevice& owner_;
};

namespace {

// One wrapper a family: Family is the interface, `real` the device's implementation.
template <typename Family>
class Observed : public Family, protected Observer {
 public:
  Observed(ObservedDevice& owner, const Family& real) : Observer(owner), real_(real) {}

 protected:
  const Observer& observe() const { return *this; }
  const Family& real_;
};

// As in "2 x [8192, 512] [5504, 512]^T bf16", "+=" before the type where something is added.
std::string product_text(const Tensor& a, Transpose ta, const Tensor& b, Transpose tb, const Tensor& c,
                         Accumulate accumulate) {
  const auto matrix = [](const Tensor& tensor, Transpose transpose) {
    return fmt::format("[{}, {}]{}", tensor.dim(-2), tensor.dim(-1), transpose == Transpose::yes ? "^T" : "");
  };
  const std::int64_t batch = c.rank() == 3 ? c.dim(0) : 1;
  return fmt::format("{}{} {} {}{}", batch > 1 ? fmt::format("{} x ", batch) : "", matrix(a, ta),
                     matrix(b, tb), accumulate == Accumulate::yes ? "+= " : "", name_of(c.type()));
}

double product_operations(const Tensor& result, std::int64_t depth) {
  return 2 * static_cast<double>(depth) * static_cast<double>(result.elements());
}

class ObservedMatmul final : public Observed<MatmulKernels> {
 public:
  using Observed::Observed;
  void multiply(const Tensor& a, Transpose ta, const Tensor& b, Transpose tb, const Tensor& c,
                Accumulate accumulate) const override {
    note(a, ta, b, tb, c, accumulate, [&] { real_.multiply(a, ta, b, tb, c, accumulate); });
  }
  void multiply_add(const Tensor& a, Transpose ta, const Tensor& b, Transpose tb, const Tensor& addend,
                    const Tensor& c) const override {
    note(a, ta, b, tb, c, Accumulate::yes, [&] { real_.multiply_add(a, ta, b, tb, addend, c); });
  }
  std::int64_t preferred_tile_width() const override { return real_.preferred_tile_width(); }

 private:
  template <typename Work>
  void note(const Tensor& a, Transpose ta, const Tensor& b, Transpose tb, const Tensor& c,
            Accumulate accumulate, const Work& work) const {
    const std::int64_t depth = a.dim(ta == Transpose::no ? -1 : -2);
    const double added = accumulate == Accumulate::yes ? bytes_of(c) : 0;
    observe()("matrix product", product_operations(c, depth), bytes_of(a, b, c) + added, work,
              [&] { return product_text(a, ta, b, tb, c, accumulate); });
  }
};

class ObservedNorm final : public Observed<NormKernels> {
 public:
  using Observed::Observed;
  void forward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& y,
               const Tensor& inverse_rms) const override {
    observe()("norm forward", 0, bytes_of(x, y), [&] { real_.forward(x, weight, epsilon, y, inverse_rms); });
  }
  void recompute(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms,
                 const Tensor& y) const override {
    observe()("norm recomputed", 0, bytes_of(x, y), [&] { real_.recompute(x, weight, inverse_rms, y); });
  }
  void backward(const Tensor& dy, const NormBackward& norm) const override {
    observe()("norm backward", 0, bytes_of(dy, norm.x, norm.dx, norm.dx), [&] { real_.backward(dy, norm); });
  }
};

class ObservedRope final : public Observed<RopeKernels> {
 public:
  using Observed::Observed;
  void rotate(const Tensor& x, const RotationTables& tables, Rotation rotation) const override {
    observe()("rotary embedding", 0, bytes_of(x, x), [&] { real_.rotate(x, tables, rotation); });
  }
};

// Of a causal row of position t, t + 1 scores: 2 products forward, 4 backward. That tiled kernels compute the
// scores again is how they work, not what is asked of them.
double attention_operations(const AttentionShape& shape, int products) {
  const auto length = static_cast<double>(shape.sequence);
  return products * static_cast<double>(shape.batch * shape.heads * shape.head_dim) * length * (length + 1);
}

class ObservedAttention final : public Observed<AttentionKernels> {
 public:
  using Observed::Observed;
  std::int64_t largest_head_dim() const override { return real_.largest_head_dim(); }
  std::string_view implementation(const AttentionShape& shape, DataType type) const override {
    return real_.implementation(shape, type);
  }
  void forward(const AttentionShape& shape, const AttentionInputs& in,
               const AttentionOutputs& to) const override {
    observe()("attention forward", attention_operations(shape, 2), bytes_of(in.q, in.k, in.v, to.out),
              [&] { real_.forward(shape, in, to); });
  }
  void backward(const AttentionShape& shape, const AttentionInputs& in, const AttentionOutputs& kept,
                const Tensor& dout, const RotationTables& tables,
                const AttentionGradients& to) const override {
    observe()("attention backward", attention_operations(shape, 4),
              bytes_of(in.q, in.k, in.v, kept.out, dout, to.dq, to.dk, to.dv),
              [&] { real_.backward(shape, in, kept, dout, tables, to); });
  }
};

class ObservedActivation final : public Observed<ActivationKernels> {
 public:
  using Observed::Observed;
  void silu_split(const Tensor& joined, const Tensor& split) const override {
    observe()("SiLU forward", 0, bytes_of(joined, split), [&] { real_.silu_split(joined, split); });
  }
  void silu_split_backward(const Tensor& joined, const Tensor& d_split,
                           const Tensor& d_joined) const override {
    observe()("SiLU backward", 0, bytes_of(joined, d_split, d_joined),
              [&] { real_.silu_split_backward(joined, d_split, d_joined); });
  }
  void gate_product(GateActivation activation, const Tensor& gate, const Tensor& up,
                    const Tensor& product) const override {
    observe()("gate product forward", 0, bytes_of(gate, up, product),
              [&] { real_.gate_product(activation, gate, up, product); });
  }
  void gate_product_backward(GateActivation activation, const Tensor& gate, const Tensor& up,
                             const Tensor& d_product, const Tensor& d_gate,
                             const Tensor& d_up) const override {
    observe()("gate product backward", 0, bytes_of(gate, up, d_product, d_gate, d_up),
              [&] { real_.gate_product_backward(activation, gate, up, d_product, d_gate, d_up); });
  }
};

// Where a device joins products of no tensors of the type, the product and the element-wise work are noted
// one by one.
class ObservedFusedProducts final : public Observed<FusedProductKernels> {
 public:
  ObservedFusedProducts(ObservedDevice& owner, const FusedProductKernels& real, const MatmulKernels& matmul,
                        const ActivationKernels& activation, const RopeKernels& rope, const NormKernels& norm)
      : Observed(owner, real), separate_(matmul, activation, rope, norm) {}

  bool joins(DataType type) const override { return real_.joins(type); }

  void silu_product(const Tensor& x, const Tensor& a, const Tensor& pre, const Tensor& split) const override {
    if (!joins(x.type())) return separate_.silu_product(x, a, pre, split);
    observe()(
        "matrix product, SiLU", product_operations(pre, x.dim(1)), bytes_of(x, a, pre, split),
        [&] { real_.silu_product(x, a, pre, split); },
        [&] { return product_text(x, Transpose::no, a, Transpose::yes, pre, Accumulate::no) + ", SiLU"; });
  }
  Tensor silu_product_backward(const Tensor& d_outputs, const Tensor& b, const Tensor& pre,
                               const Tensor& d_split, const Tensor& d_pre) const override {
    Tensor row_dots;
    if (!joins(b.type())) return separate_.silu_product_backward(d_outputs, b, pre, d_split, d_pre);
    observe()(
        "matrix product, SiLU backward", product_operations(d_pre, b.dim(1)),
        bytes_of(d_outputs, b, pre, d_pre),
        [&] { row_dots = real_.silu_product_backward(d_outputs, b, pre, d_split, d_pre); },
        [&] {
          return product_text(d_outputs, Transpose::no, b, Transpose::no, d_split, Accumulate::no) +
                 ", SiLU backward";
        });
    return row_dots;
  }
  void rotated_product(const Tensor& x, const Tensor& b, const RotationTables& tables,
                       std::int64_t rotated_parts, const Tensor& outputs) const override {
    if (!joins(x.type())) return separate_.rotated_product(x, b, tables, rotated_parts, outputs);
    observe()(
        "matrix product, rotary embedding", product_operations(outputs, x.dim(2)), bytes_of(x, b, outputs),
        [&] { real_.rotated_product(x, b, tables, rotated_parts, outputs); },
        [&] {
          return product_text(x, Transpose::no, b, Transpose::yes, outputs, Accumulate::no) +
                 ", rotary embedding";
        });
  }
  void gated_product(GateActivation activation, const Tensor& x, const Tensor& b, const Tensor& gate,
                     const Tensor& up, const Tensor& product) const override {
    if (!joins(x.type())) return separate_.gated_product(activation, x, b, gate, up, product);
    observe()(
        "matrix product, gate product", product_operations(up, x.dim(1)), bytes_of(x, b, gate, up, product),
        [&] { real_.gated_product(activation, x, b, gate, up, product); },
        [&] {
          return product_text(x, Transpose::no, b, Transpose::yes, up, Accumulate::no) + ", gate product";
        });
  }
  void gated_product_backward(GateActivation activation, const Tensor& d_pre, const Tensor& a,
                              const Tensor& d_product, const Tensor& gate, const Tensor& up) const override {
    if (!joins(a.type())) return separate_.gated_product_backward(activation, d_pre, a, d_product, gate, up);
    observe()(
        "matrix product, gate product backward", product_operations(gate, a.dim(0)),
        bytes_of(d_pre, a, gate, gate, up, up),
        [&] { real_.gated_product_backward(activation, d_pre, a, d_product, gate, up); },
        [&] {
          return product_text(d_pre, Transpose::no, a, Transpose::no, d_product, Accumulate::no) +
                 ", gate product backward";
        });
  }
  void normed_product_backward(const Tensor& d_pre, const Tensor& a, const Tensor& pre,
                               const Tensor& row_dots, const Tensor& dy,
                               const NormBackward& norm) const override {
    if (!joins(a.type())) return separate_.normed_product_backward(d_pre, a, pre, row_dots, dy, norm);
    observe()(
        "matrix product, norm backward", product_operations(dy, a.dim(0)),
        bytes_of(d_pre, a, norm.x, norm.dx, norm.dx) + (row_dots.empty() ? bytes_of(d_pre, pre) : 0),
        [&] { real_.normed_product_backward(d_pre, a, pre, row_dots, dy, norm); },
        [&] {
          return product_text(d_pre, Transpose::no, a, Transpose::no, dy, Accumulate::no) + ", norm backward";
        });
  }

 private:
  SeparateProducts separate_;
};

class ObservedEmbedding final : public Observed<EmbeddingKernels> {
 public:
  using Observed::Observed;
  void forward(const Tensor& ids, const Tensor& table, const Tensor& out) const override {
    observe()("embedding forward", 0, bytes_of(out, out), [&] { real_.forward(ids, table, out); });
  }
  void backward(const Tensor& ids, const Tensor& d_out, const Tensor& d_table) const override {
    observe()("embedding backward", 0, bytes_of(d_out), [&] { real_.backward(ids, d_out, d_table); });
  }
};

class ObservedCrossEntropy final : public Observed<CrossEntropyKernels> {
 public:
  using Observed::Observed;
  void forward(std::span<const Tensor> logits, const Tensor& targets, std::int64_t vocabulary,
               const Tensor& losses) const override {
    observe()("cross-entropy forward", 0, bytes_of_all(logits),
              [&] { real_.forward(logits, targets, vocabulary, losses); });
  }
  void forward_backward(std::span<const Tensor> logits, const Tensor& targets, std::int64_t vocabulary,
                        const Tensor& losses) const override {
    observe()("cross-entropy", 0, 2 * bytes_of_all(logits),
              [&] { real_.forward_backward(logits, targets, vocabulary, losses); });
  }

 private:
  static double bytes_of_all(std::span<const Tensor> tensors) {
    double bytes = 0;
    for (const Tensor& tensor : tensors) bytes += bytes_of(tensor);
    return bytes;
  }
};

class ObservedAdamW final : public Observed<AdamWKernels> {
 public:
  using Observed::Observed;
  void update(const AdamWParameters& parameters, const Tensor& weights, const Tensor& exp_avg,
              const Tensor& exp_avg_sq, const Tensor& gradient, const Tensor& working) const override {
    const double bytes =
        2 * bytes_of(weights, exp_avg, exp_avg_sq) + bytes_of(gradient, working);  // read and written; once
    observe()("AdamW", 0, bytes,
              [&] { real_.update(parameters, weights, exp_avg, exp_avg_sq, gradient, working); });
  }
};

class ObservedReduce final : public Observed<ReduceKernels> {
 public:
  using Observed::Observed;
  double sum_of_squares(const Tensor& values) const override {
    return observe()("sum of squares", 0, bytes_of(values), [&] { return real_.sum_of_squares(values); });
  }
  void add_sum(const Tensor& values, const Tensor& total) const override {
    observe()("sum", 0, bytes_of(values, total), [&] { real_.add_sum(values, total); });
  }
  void convert(const Tensor& source, const Tensor& destination) const override {
    observe()("conversion", 0, bytes_of(source, destination), [&] { real_.convert(source, destination); });
  }
};

}  // namespace

struct ObservedDevice::Families {
  Families(ObservedDevice& owner, const Device& device)
      : observer(owner),
        matmul(owner, device.matmul()),
        norm(owner, device.norm()),
        rope(owner, device.rope()),
        attention(owner, device.attention()),
        activation(owner, device.activation()),
        fused_products(owner, device.fused_products(), matmul, activation, rope, norm),
        embedding(owner, device.embedding()),
        cross_entropy(owner, device.cross_entropy()),
        adamw(owner, device.adamw()),
        reduce(owner, device.reduce()) {}

  Observer observer;
  ObservedMatmul matmul;
  ObservedNorm norm;
  ObservedRope rope;
  ObservedAttention attention;
  ObservedActivation activation;
  ObservedFusedProducts fused_products;
  ObservedEmbedding embedding;
  ObservedCrossEntropy cross_entropy;
  ObservedAdamW adamw;
  ObservedReduce reduce;
};

ObservedDevice::ObservedDevice(Device& device)
    : device_(device), families_(std::make_unique<Families>(*this, device)) {}
ObservedDevice::~ObservedDevice() = default;

std::vector<KernelCall> ObservedDevice::stop() {
  device_.synchronize();
  observing_ = false;
  return std::exchange(calls_, {});
}

void ObservedDevice::fill_bytes(void* memory, int value, std::size_t bytes) {
  families_->observer("fill", 0, static_cast<double>(bytes),
                      [&] { device_.fill_bytes(memory, value, bytes); });
}
void ObservedDevice::copy_from_host(void* to, const void* from, std::size_t bytes) {
  families_->observer("copy from host", 0, static_cast<double>(bytes),
                      [&] { device_.copy_from_host(to, from, bytes); });
}
void ObservedDevice::copy_to_host(void* to, const void* from, std::size_t bytes) {
  families_->observer("copy to host", 0, static_cast<double>(bytes),
                      [&] { device_.copy_to_host(to, from, bytes); });
}
void ObservedDevice::copy_on_device(void* to, const void* from, std::size_t bytes) {
  families_->observer("copy on device", 0, 2 * static_cast<double>(bytes),
                      [&] { device_.copy_on_device(to, from, bytes); });
}
std::unique_ptr<RepeatedWork> ObservedDevice::make_repeated_work() {
  return std::make_unique<RepeatedWork>();
}

const MatmulKernels& ObservedDevice::matmul() const {
  return families_->matmul;
}
const NormKernels& ObservedDevice::norm() const {
  return families_->norm;
}
const RopeKernels& ObservedDevice::rope() const {
  return families_->rope;
}
const AttentionKernels& ObservedDevice::attention() const {
  return families_->attention;
}
const ActivationKernels& ObservedDevice::activation() const {
  return families_->activation;
}
const FusedProductKernels& ObservedDevice::fused_products() const {
  return families_->fused_products;
}
const EmbeddingKernels& ObservedDevice::embedding() const {
  return families_->embedding;
}
const CrossEntropyKernels& ObservedDevice::cross_entropy() const {
  return families_->cross_entropy;
}
const AdamWKernels& ObservedDevice::adamw() const {
  return families_->adamw;
}
const ReduceKernels& ObservedDevice::reduce() const {
  return families_->reduce;
}

}  // namespace cola
