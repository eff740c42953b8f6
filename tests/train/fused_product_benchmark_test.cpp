#include "train/benchmarks/fused_product_benchmark.h"

#include <gtest/gtest.h>

#include <set>

#include "core/kernels/fused_product.h"
#include "support/device_test.h"
#include "train/configuration/precision.h"

namespace cola {
namespace {

class FusedProductBenchmark : public DeviceTest {
 protected:
  static RunConfiguration configuration() {
    RunConfiguration configuration;
    configuration.model.hidden_size = 256;
    configuration.model.intermediate_size = 300;  // stored wider
    configuration.model.num_attention_heads = configuration.model.num_key_value_heads = 4;
    configuration.model.rank = 64;
    configuration.train.micro_batch = 2;
    configuration.data.sequence_length = 32;
    return configuration;
  }
};

TEST_P(FusedProductBenchmark, MeasuresEveryProductBothWays) {
  std::set<std::string> names;
  const bool joins = device().fused_products().joins(compute_type_of(Precision::automatic, device()));
  for (const auto& [name, joined, apart, cut_up, held, held_cut_up] :
       measure_fused_products(configuration(), device(), 2)) {
    EXPECT_GT(joined, 0) << name;
    EXPECT_GT(apart, 0) << name;
    EXPECT_EQ(cut_up > 0, joins) << name;
    EXPECT_EQ(held > 0, joins) << name;
    EXPECT_EQ(held_cut_up > 0, joins) << name;
    names.insert(name);
  }
  EXPECT_EQ(names.size(), 9u);
}

TEST_P(FusedProductBenchmark, IsForModelsThatHaveSuchProducts) {
  RunConfiguration full = configuration(), grouped = configuration();
  full.model.projection = ProjectionKind::full;
  grouped.model.num_key_value_heads = 2;
  EXPECT_TRUE(measure_fused_products(full, device()).empty());
  EXPECT_TRUE(measure_fused_products(grouped, device()).empty());
}

INSTANTIATE_TEST_SUITE_P(Devices, FusedProductBenchmark, every_device(), device_label);

}  // namespace
}  // namespace cola
