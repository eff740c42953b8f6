#include "model/parameter_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"

namespace cola {
namespace {

ModelConfiguration small(ProjectionKind projection) {
  ModelConfiguration c;
  c.vocab_size = 258;
  c.hidden_size = 64;
  c.intermediate_size = 173;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.projection = projection;
  c.rank = 12;
  return c;
}

std::vector<float> initial_values(const Parameter& parameter, std::uint64_t seed) {
  std::vector<float> values(static_cast<std::size_t>(parameter.stored_elements()));
  initialize(parameter, seed, 0, values);
  return values;
}

TEST(ParameterTable, CountsAsThePublishedModel) {
  ModelConfiguration c;  // the 60m size: 42.8 million with CoLA, 58.1 million full-rank
  EXPECT_EQ(std::llround(static_cast<double>(ParameterTable(c).logical_elements()) / 1e5), 428);
  c.projection = ProjectionKind::full;
  EXPECT_EQ(std::llround(static_cast<double>(ParameterTable(c).logical_elements()) / 1e5), 581);
}

TEST(ParameterTable, LaysParametersOutWithoutGapsOrOverlap) {
  for (const ProjectionKind projection : {ProjectionKind::full, ProjectionKind::cola}) {
    const ParameterTable table(small(projection));
    std::set<std::string> names;
    std::int64_t offset = 0, logical = 0;
    ASSERT_EQ(table.units().size(), 4u);
    for (std::size_t u = 0; u < table.units().size(); ++u) {
      const Unit& unit = table.units()[u];
      EXPECT_EQ(unit.offset, offset);
      std::int64_t inside = 0;
      for (int index = unit.first_parameter; index < unit.last_parameter; ++index) {
        const Parameter& parameter = table.parameters()[static_cast<std::size_t>(index)];
        EXPECT_EQ(parameter.unit, static_cast<int>(u));
        EXPECT_EQ(parameter.offset, inside) << parameter.name;
        EXPECT_GE(parameter.stored_rows, parameter.rows);
        EXPECT_EQ(parameter.stored_columns % 8, 0) << parameter.name;
        EXPECT_TRUE(names.insert(parameter.name).second) << parameter.name;
        inside += parameter.stored_elements();
        logical += parameter.elements();
      }
      EXPECT_EQ(unit.elements, inside);
      offset += inside;
    }
    EXPECT_EQ(table.stored_elements(), offset);
    EXPECT_EQ(table.logical_elements(), logical);
    EXPECT_EQ(names.size(), table.parameters().size());
  }
}

TEST(ParameterTable, FactorsHaveTheShapesOfTheProjection) {
  const ParameterTable table(small(ProjectionKind::cola));
  const auto expect_shape = [&](const std::string& name, std::int64_t rows, std::int64_t columns) {
    const Parameter& parameter = table.find("model.layers.1." + name);
    EXPECT_EQ(parameter.rows, rows) << name;
    EXPECT_EQ(parameter.columns, columns) << name;
  };
  expect_shape("self_attn.q_proj.cola_a", 12, 64);
  expect_shape("self_attn.q_proj.cola_b", 64, 12);
  expect_shape("self_attn.k_proj.cola_b", 32, 12);
  expect_shape("mlp.gate_proj.cola_b", 173, 12);
  expect_shape("mlp.down_proj.cola_a", 12, 173);
  expect_shape("mlp.down_proj.cola_b", 64, 12);
  EXPECT_EQ(table.find("model.layers.1.mlp.down_proj.cola_a").stored_columns, 192);
  EXPECT_THROW(table.find("model.layers.1.mlp.down_proj.weight"), Error);
  EXPECT_EQ(ParameterTable(small(ProjectionKind::full)).find("model.layers.0.self_attn.v_proj.weight").rows,
            32);
}

TEST(ParameterTable, StorageWidthKeepsRowsAligned) {
  EXPECT_EQ(storage_width(512), 512);
  EXPECT_EQ(storage_width(1376), 1376);
  EXPECT_EQ(storage_width(5461), 5504);
  EXPECT_EQ(storage_width(258), 320);
}

// r^(-1/4) (in + out)^(-1/4) for both factors; 0.02 for the embedding and full-rank layers (arXiv
// 2502.10940).
TEST(ParameterTable, StandardDeviationsFollowThePaper) {
  const ParameterTable table(small(ProjectionKind::cola));
  const double down = 1 / std::sqrt(std::sqrt(12.0 * (64 + 173)));
  EXPECT_NEAR(table.find("model.layers.0.mlp.down_proj.cola_a").standard_deviation, down, 1e-12);
  EXPECT_NEAR(table.find("model.layers.0.mlp.down_proj.cola_b").standard_deviation, down, 1e-12);
  EXPECT_NEAR(table.find("model.layers.0.self_attn.k_proj.cola_a").standard_deviation,
              1 / std::sqrt(std::sqrt(12.0 * (64 + 32))), 1e-12);
  EXPECT_EQ(table.find("lm_head.weight").standard_deviation, 0.02);
  EXPECT_EQ(ParameterTable(small(ProjectionKind::full))
                .find("model.layers.0.mlp.up_proj.weight")
                .standard_deviation,
            0.02);
}

TEST(Initialize, DrawsFromTheStatedNormalDistribution) {
  const ParameterTable table(small(ProjectionKind::cola));
  const Parameter& embedding = table.find("model.embed_tokens.weight");
  const std::vector<float> values = initial_values(embedding, 7);
  double sum = 0, squares = 0, fourth = 0;
  for (std::int64_t i = 0; i < embedding.rows * embedding.stored_columns; ++i) {
    const double value = values[static_cast<std::size_t>(i)] / 0.02;
    sum += value;
    squares += value * value;
    fourth += value * value * value * value;
  }
  const double n = static_cast<double>(embedding.elements());  // 16512: about four standard errors each
  EXPECT_NEAR(sum / n, 0, 0.032);
  EXPECT_NEAR(squares / n, 1, 0.045);
  EXPECT_NEAR(fourth / n, 3, 0.31);
}

TEST(Initialize, PaddingIsZeroAndNothingElse) {
  const ParameterTable table(small(ProjectionKind::cola));
  for (const Parameter& parameter : table.parameters()) {
    const std::vector<float> values = initial_values(parameter, 3);
    for (std::int64_t i = 0; i < parameter.stored_elements(); ++i) {
      const bool inside =
          i / parameter.stored_columns < parameter.rows && i % parameter.stored_columns < parameter.columns;
      ASSERT_EQ(values[static_cast<std::size_t>(i)] != 0, inside) << parameter.name << " element " << i;
    }
  }
}

TEST(Initialize, NormWeightsAreOnes) {
  const ParameterTable table(small(ProjectionKind::cola));
  for (const float value : initial_values(table.find("model.layers.1.post_attention_layernorm.weight"), 3))
    EXPECT_EQ(value, 1.0f);
}

TEST(Initialize, DependsOnSeedNameAndElementAlone) {
  const ParameterTable table(small(ProjectionKind::cola));
  const Parameter& q = table.find("model.layers.0.self_attn.q_proj.cola_a");
  const Parameter& k = table.find("model.layers.0.self_attn.k_proj.cola_a");
  const std::vector<float> whole = initial_values(q, 3);
  EXPECT_NE(whole, initial_values(q, 4));
  EXPECT_NE(whole[0], initial_values(k, 3)[0]);
  for (const std::size_t cut : {1, 63, 64, 65, 500}) {
    std::vector<float> pieces(whole.size());
    initialize(q, 3, 0, std::span(pieces).first(cut));
    initialize(q, 3, static_cast<std::int64_t>(cut), std::span(pieces).subspan(cut));
    EXPECT_EQ(pieces, whole) << cut;
  }
}

// The same logical element has the same value however wide the rows are stored.
TEST(Initialize, DoesNotDependOnThePadding) {
  Parameter padded, plain;
  padded.name = plain.name = "w";
  padded.rows = plain.rows = plain.stored_rows = padded.stored_rows = 3;
  padded.columns = plain.columns = plain.stored_columns = 5;
  padded.stored_columns = 64;
  padded.standard_deviation = plain.standard_deviation = 1;
  const std::vector<float> wide = initial_values(padded, 1), narrow = initial_values(plain, 1);
  for (std::size_t row = 0; row < 3; ++row)
    for (std::size_t column = 0; column < 5; ++column)
      EXPECT_EQ(wide[row * 64 + column], narrow[row * 5 + column]);
}

}  // namespace
}  // namespace cola
