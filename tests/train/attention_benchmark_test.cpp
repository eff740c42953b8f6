#include "train/benchmarks/attention_benchmark.h"

#include <gtest/gtest.h>

#include "support/device_test.h"

namespace cola {
namespace {

class AttentionBenchmark : public DeviceTest {};

TEST_P(AttentionBenchmark, TakesLongerForLongerSequences) {
  RunConfiguration configuration;
  configuration.model.hidden_size = 256;
  configuration.model.num_attention_heads = 4;
  configuration.model.num_key_value_heads = 2;
  configuration.train.micro_batch = 2;
  configuration.data.sequence_length = 32;
  const AttentionSeconds few = measure_attention(configuration, device(), 3);
  EXPECT_GT(few.forward, 0);
  EXPECT_GT(few.backward, 0);
  configuration.data.sequence_length = 4096;  // far more than a busy machine adds
  const AttentionSeconds many = measure_attention(configuration, device(), 3);
  EXPECT_GT(many.forward, few.forward);
  EXPECT_GT(many.backward, few.backward);
}

INSTANTIATE_TEST_SUITE_P(Devices, AttentionBenchmark, every_device(), device_label);

}  // namespace
}  // namespace cola
