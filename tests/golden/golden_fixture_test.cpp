// The golden fixtures and the reference model judge each other: PyTorch with autograd on one side, the
// project's reference kernels with finite differences on the other.
#include "support/golden_fixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "model/parameter_table.h"
#include "reference/model.h"
#include "support/relative_error.h"
#include "support/test_data.h"
#include "support/test_random.h"

namespace cola {
namespace {

class GoldenFixtureTest : public ::testing::TestWithParam<const char*> {
 protected:
  GoldenFixtureTest() {
    for (const auto& [name, values] : fixture.weights) weights[name].assign(values.begin(), values.end());
  }

  GoldenFixture fixture = read_golden_fixture(test_data(std::string("tests/golden/") + GetParam() + ".h5"));
  reference::Weights weights;
};

TEST_P(GoldenFixtureTest, HoldsExactlyTheParametersOfTheTable) {
  const ParameterTable table(fixture.configuration);
  EXPECT_EQ(fixture.weights.size(), table.parameters().size());
  EXPECT_EQ(fixture.gradients.size(), table.parameters().size());
  for (const Parameter& parameter : table.parameters()) {
    SCOPED_TRACE(parameter.name);
    ASSERT_EQ(fixture.weights.count(parameter.name), 1u);
    ASSERT_EQ(fixture.gradients.count(parameter.name), 1u);
    EXPECT_EQ(static_cast<std::int64_t>(fixture.weights.at(parameter.name).size()), parameter.elements());
    EXPECT_EQ(static_cast<std::int64_t>(fixture.gradients.at(parameter.name).size()), parameter.elements());
  }
}

TEST_P(GoldenFixtureTest, CoversTheSpecialCases) {
  const ModelConfiguration& configuration = fixture.configuration;
  EXPECT_TRUE(find_problem(configuration).problem.empty()) << find_problem(configuration).problem;
  EXPECT_LT(configuration.num_key_value_heads, configuration.num_attention_heads);
  for (const std::int64_t width :
       {configuration.intermediate_size, configuration.vocab_size, configuration.rank})
    EXPECT_NE(storage_width(width), width);
  EXPECT_EQ(fixture.batch * fixture.sequence, static_cast<std::int64_t>(fixture.input_ids.size()));
  EXPECT_GT(std::count(fixture.targets.begin(), fixture.targets.end(), ignored_target), 0);
}

TEST_P(GoldenFixtureTest, ReferenceModelComputesTheSameLogitsAndLosses) {
  const reference::Model model(fixture.configuration, weights, fixture.batch, fixture.sequence);
  const auto result = model.run(fixture.input_ids, fixture.targets);
  EXPECT_TRUE(is_close(result.logits, fixture.logits, 1e-12));
  EXPECT_TRUE(is_close(result.token_losses, fixture.token_losses, 1e-12));
  EXPECT_NEAR(result.loss_sum(), fixture.loss_sum, 1e-9);
  const auto ignored = std::count(fixture.targets.begin(), fixture.targets.end(), ignored_target);
  const auto counted = static_cast<double>(fixture.targets.size()) - static_cast<double>(ignored);
  EXPECT_NEAR(result.loss_sum() / counted, fixture.loss_mean, 1e-10);
}

TEST_P(GoldenFixtureTest, GradientsAreTheFiniteDifferencesOfTheReferenceModel) {
  TestRandom random;
  SCOPED_TRACE(random.describe());
  for (const auto& [name, gradient] : fixture.gradients) {
    const double largest = std::abs(*std::max_element(
        gradient.begin(), gradient.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }));
    for (const std::int32_t element : random.integers(3, 0, static_cast<std::int32_t>(gradient.size() - 1)))
      EXPECT_NEAR(reference::loss_gradient(fixture.configuration, weights, name, element, fixture.batch,
                                           fixture.input_ids, fixture.targets),
                  gradient[element], 1e-6 * largest)
          << name << " element " << element;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenFixtureTest, ::testing::Values("full", "cola", "cola_gated"),
                         [](const auto& information) { return std::string(information.param); });

}  // namespace
}  // namespace cola
