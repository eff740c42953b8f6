// The whole model against PyTorch: logits, loss and every gradient of tiny full-rank and CoLA models.
#include <gtest/gtest.h>

#include <string>

#include "core/device.h"
#include "model/transformer.h"
#include "support/golden_fixture.h"
#include "support/local_parameter_store.h"
#include "support/relative_error.h"
#include "support/test_data.h"

namespace cola {
namespace {

struct Case {
  std::string fixture;
  DataType type;
  DeviceKind device;
};

std::string name_of_case(const ::testing::TestParamInfo<Case>& information) {
  return information.param.fixture + "_" + name_of(information.param.type) +
         (information.param.device == DeviceKind::cpu ? "_cpu" : "_cuda");
}

class GoldenTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (GetParam().device == DeviceKind::cuda && cuda_device_count() == 0)
      GTEST_SKIP() << "no GPU on this machine";
    device_ = GetParam().device == DeviceKind::cpu ? make_cpu_device(2) : make_cuda_device(0);
    fixture_ = read_golden_fixture(test_data("tests/golden/" + GetParam().fixture + ".h5"));
    table_ = std::make_unique<ParameterTable>(fixture_.configuration);
    store_ = std::make_unique<LocalParameterStore>(*device_, *table_, GetParam().type);
    for (const Parameter& parameter : table_->parameters())
      store_->set(parameter, fixture_.weights.at(parameter.name));
  }

  Transformer make_model(Recompute recompute = Recompute::none) {
    return Transformer(*device_, *table_, {fixture_.batch, fixture_.sequence, GetParam().type, recompute});
  }
  TokenBatch batch() const {
    return {fixture_.input_ids, fixture_.targets, fixture_.batch, fixture_.sequence};
  }
  double loss_of(Transformer& model) {
    model.forward_backward(*store_, batch());
    return model.take_loss();
  }
  // PyTorch computed in double: only this type's rounding stands between the two.
  double tolerance() const { return GetParam().type == DataType::float32 ? 1e-5 : 2e-2; }

  std::unique_ptr<Device> device_;
  GoldenFixture fixture_;
  std::unique_ptr<ParameterTable> table_;
  std::unique_ptr<LocalParameterStore> store_;
};

TEST_P(GoldenTest, LogitsAgree) {
  Transformer model = make_model();
  const std::vector<float> logits = model.logits(*store_, batch(), 0, fixture_.batch * fixture_.sequence);
  const std::vector<double> widened(logits.begin(), logits.end());
  ASSERT_EQ(widened.size(), fixture_.logits.size());
  EXPECT_LE(relative_error(widened, fixture_.logits), tolerance());
}

TEST_P(GoldenTest, LossAgreesWithAndWithoutGradient) {
  Transformer model = make_model();
  model.forward(*store_, batch());
  EXPECT_NEAR(model.take_loss() / fixture_.loss_sum, 1.0, tolerance());
  EXPECT_NEAR(loss_of(model) / fixture_.loss_sum, 1.0, tolerance());
  EXPECT_EQ(model.take_loss(), 0);
}

TEST_P(GoldenTest, EveryGradientAgrees) {
  Transformer model = make_model();
  model.forward_backward(*store_, batch());
  for (const Parameter& parameter : table_->parameters())
    EXPECT_LE(relative_error(store_->gradient(parameter), fixture_.gradients.at(parameter.name)), tolerance())
        << parameter.name;
}

TEST_P(GoldenTest, PaddingReceivesNoGradient) {
  Transformer model = make_model();
  model.forward_backward(*store_, batch());
  for (const Parameter& parameter : table_->parameters()) {
    const std::vector<float> stored = store_->stored_gradient(parameter);
    for (std::int64_t i = 0; i < parameter.stored_elements(); ++i) {
      const bool padding =
          i / parameter.stored_columns >= parameter.rows || i % parameter.stored_columns >= parameter.columns;
      if (padding) {
        ASSERT_EQ(stored[static_cast<std::size_t>(i)], 0.0f) << parameter.name << " element " << i;
      }
    }
  }
}

TEST_P(GoldenTest, RecomputationLeavesEveryBit) {
  Transformer keeps_all = make_model();
  const double loss = loss_of(keeps_all);
  std::map<std::string, std::vector<float>> expected;
  for (const Parameter& parameter : table_->parameters())
    expected[parameter.name] = store_->stored_gradient(parameter);
  for (const Recompute policy : {Recompute::cola_m, Recompute::block}) {
    if (policy == Recompute::cola_m && fixture_.configuration.projection == ProjectionKind::full) continue;
    store_->zero_gradients();
    Transformer model = make_model(policy);
    EXPECT_LT(model.bytes(), keeps_all.bytes());
    EXPECT_EQ(loss_of(model), loss);
    for (const Parameter& parameter : table_->parameters())
      EXPECT_EQ(store_->stored_gradient(parameter), expected[parameter.name]) << parameter.name;
  }
}

TEST_P(GoldenTest, GradientsAccumulateOverMicroBatches) {
  Transformer model = make_model();
  const auto half = static_cast<std::size_t>(fixture_.sequence);
  const std::span<const std::int32_t> inputs(fixture_.input_ids), targets(fixture_.targets);
  for (std::size_t first = 0; first < inputs.size(); first += half)
    model.forward_backward(*store_,
                           {inputs.subspan(first, half), targets.subspan(first, half), 1, fixture_.sequence});
  EXPECT_NEAR(model.take_loss() / fixture_.loss_sum, 1.0, tolerance());
  for (const Parameter& parameter : table_->parameters())
    EXPECT_LE(relative_error(store_->gradient(parameter), fixture_.gradients.at(parameter.name)), tolerance())
        << parameter.name;
  for (const auto& [unit, times] : store_->ready) EXPECT_EQ(times, 2) << "unit " << unit;
  EXPECT_EQ(store_->ready.size(), table_->units().size());
}

TEST_P(GoldenTest, IdsOutsideTheVocabularyAreRefused) {
  Transformer model = make_model();
  std::vector<std::int32_t> inputs = fixture_.input_ids;
  inputs[3] = static_cast<std::int32_t>(fixture_.configuration.vocab_size);
  EXPECT_THROW(model.forward(*store_, {inputs, fixture_.targets, fixture_.batch, fixture_.sequence}), Error);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const DeviceKind device : {DeviceKind::cpu, DeviceKind::cuda})
    for (const DataType type : {DataType::float32, DataType::bfloat16})
      for (const char* fixture : {"full", "cola", "cola_gated"}) all.push_back({fixture, type, device});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenTest, ::testing::ValuesIn(cases()), name_of_case);

}  // namespace
}  // namespace cola
