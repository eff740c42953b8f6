// The formulas of model/cost.h, and of the literature, against the products that a pass really issues.
#include "model/cost.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/observed_device.h"
#include "model/transformer.h"
#include "support/local_parameter_store.h"
#include "support/paper_sizes.h"
#include "support/shape_device.h"

namespace cola {
namespace {

constexpr std::int64_t sequence = 256;

/// Weights and gradients that are shapes alone.
class ShapeStore final : public ParameterStore {
 public:
  ShapeStore(Device& device, const ParameterTable& table) : device_(device), table_(table) {}
  Tensor acquire_weights(int unit) override { return tensor(DataType::bfloat16, unit); }
  void release_weights(int) override {}
  Tensor gradients(int unit) override { return tensor(DataType::float32, unit); }
  void gradients_ready(int) override {}
  bool next_pass_is_local() const override { return true; }

 private:
  Tensor tensor(DataType type, int unit) const {
    return Tensor(device_.allocate(0), type, {table_.units()[static_cast<std::size_t>(unit)].elements});
  }
  Device& device_;
  const ParameterTable& table_;
};

/// Operations a token of one forward and backward pass over `batch` sequences.
double issued_per_token(Device& device, ParameterStore& store, const ParameterTable& table, DataType type,
                        Recompute recompute, std::int64_t batch) {
  ObservedDevice observed(device);
  const std::int64_t rows = batch * sequence;
  const std::vector<std::int32_t> ids(static_cast<std::size_t>(rows), 1);
  Transformer model(observed, table, {batch, sequence, type, recompute});
  observed.start();
  model.forward_backward(store, {ids, ids, batch, sequence});
  double operations = 0;
  for (const KernelCall& call : observed.stop()) operations += call.operations;
  return operations / static_cast<double>(rows);
}

double walked_per_token(const ModelConfiguration& model, Recompute recompute) {
  ShapeDevice device;
  const ParameterTable table(model);
  ShapeStore store(device, table);
  return issued_per_token(device, store, table, DataType::bfloat16, recompute, 2);
}

/// As the literature has it for one token (FLOP of a layer, forward and backward: 24 d^2 + 18 d f full-rank,
/// 48 d r + 18 r (d + f) CoLA), the LM head and causal attention added.
double literature_per_token(const ModelConfiguration& c, double intermediate) {
  const auto d = static_cast<double>(c.hidden_size), r = static_cast<double>(c.rank), f = intermediate;
  const double layer =
      c.projection == ProjectionKind::full ? 24 * d * d + 18 * d * f : 48 * d * r + 18 * r * (d + f);
  const double attention = 12 * static_cast<double>(sequence) * d * (sequence + 1) / (2.0 * sequence);
  return static_cast<double>(c.num_hidden_layers) * (layer + attention) +
         6 * d * static_cast<double>(c.vocab_size);
}

class CostTest : public ::testing::TestWithParam<ProjectionKind> {};

TEST_P(CostTest, FormulasAreThoseOfTheLiterature) {
  for (const auto& [name, model] : paper_sizes(GetParam()))
    EXPECT_DOUBLE_EQ(training_operations_per_token(model, sequence),
                     literature_per_token(model, static_cast<double>(model.intermediate_size)))
        << name;
}

TEST_P(CostTest, ProductsIssuedAreThoseOfTheFormulas) {
  for (const auto& [name, model] : paper_sizes(GetParam())) {
    const double issued = walked_per_token(model, Recompute::none);
    // Storage padding is multiplied as well: 5461 columns of 1b are 5504.
    EXPECT_DOUBLE_EQ(issued,
                     literature_per_token(model, static_cast<double>(storage_width(model.intermediate_size))))
        << name;
    EXPECT_NEAR(issued / training_operations_per_token(model, sequence), 1.0, name == "1b" ? 0.006 : 1e-12)
        << name;
  }
}

TEST_P(CostTest, RecomputationIssuesWhatItsFormulaSays) {
  for (auto [name, model] : paper_sizes(GetParam())) {
    model.intermediate_size = storage_width(model.intermediate_size);
    for (const Recompute policy : {Recompute::cola_m, Recompute::block}) {
      if (policy == Recompute::cola_m && GetParam() == ProjectionKind::full) continue;
      EXPECT_DOUBLE_EQ(walked_per_token(model, policy),
                       training_operations_per_token(model, sequence) +
                           recomputed_operations_per_token(model, policy, sequence))
          << name;
    }
  }
}

TEST_P(CostTest, ARealDeviceIsGivenTheSameProducts) {
  ModelConfiguration tiny;
  tiny.vocab_size = 512;
  tiny.hidden_size = 256;
  tiny.intermediate_size = 688;
  tiny.num_hidden_layers = 2;
  tiny.num_attention_heads = tiny.num_key_value_heads = 4;
  tiny.rank = 64;
  tiny.projection = GetParam();
  const auto device = make_cpu_device(2);
  const ParameterTable table(tiny);
  LocalParameterStore store(*device, table, DataType::float32);
  EXPECT_DOUBLE_EQ(issued_per_token(*device, store, table, DataType::float32, Recompute::none, 1),
                   training_operations_per_token(tiny, sequence));
}

INSTANTIATE_TEST_SUITE_P(Projections, CostTest, ::testing::Values(ProjectionKind::full, ProjectionKind::cola),
                         [](const auto& information) {
                           return information.param == ProjectionKind::full ? "full" : "cola";
                         });

TEST(Cost, FullRankCostsTheKnownMultipleOfCola) {
  const std::vector<double> expected{1.56, 1.56, 2.15, 2.31, 2.44};
  const auto full = paper_sizes(ProjectionKind::full), cola = paper_sizes(ProjectionKind::cola);
  for (std::size_t i = 0; i < cola.size(); ++i)
    EXPECT_NEAR(training_operations_per_token(full[i].model, sequence) /
                    training_operations_per_token(cola[i].model, sequence),
                expected[i], 0.005)
        << cola[i].name;
}

// Queries of many heads may share keys and values: those projections are narrower.
TEST(Cost, GroupedQueriesCostWhatIsIssued) {
  ModelConfiguration grouped = paper_sizes(ProjectionKind::cola).front().model;
  grouped.num_key_value_heads = 2;
  for (const Recompute policy : {Recompute::none, Recompute::cola_m, Recompute::block})
    EXPECT_DOUBLE_EQ(walked_per_token(grouped, policy),
                     training_operations_per_token(grouped, sequence) +
                         recomputed_operations_per_token(grouped, policy, sequence));
}

}  // namespace
}  // namespace cola
