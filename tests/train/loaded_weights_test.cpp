// Weights for computing alone: those of the run, in a fraction of its memory.
#include "train/checkpoints/loaded_weights.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <vector>

#include "core/error.h"
#include "io/checkpoints/checkpoint_directory.h"
#include "support/device_test.h"
#include "support/test_folder.h"
#include "train/checkpoints/checkpointer.h"

namespace cola {
namespace {

class LoadedWeightsTest : public DeviceTest {
 protected:
  LoadedWeightsTest() {
    configuration_.run.dir = folder_.path("run");
    configuration_.model = {.vocab_size = 258,
                            .hidden_size = 24,
                            .intermediate_size = 21,
                            .num_hidden_layers = 2,
                            .num_attention_heads = 1,
                            .num_key_value_heads = 1,
                            .rank = 6};
  }

  std::vector<std::byte> bytes_of(const Tensor& tensor) {
    std::vector<std::byte> bytes(tensor.bytes());
    device().copy_to_host(bytes.data(), tensor.data(), tensor.bytes());
    return bytes;
  }

  TestFolder folder_;
  RunConfiguration configuration_;
};

TEST_P(LoadedWeightsTest, AreThoseOfTheRunWithoutTheRest) {
  const auto self = make_self_communicator();
  const ParameterTable table(configuration_.model);
  for (const DataType type : {DataType::float32, DataType::bfloat16}) {
    SCOPED_TRACE(name_of(type));
    configuration_.run.dir = folder_.path(name_of(type));
    ShardedParameterStore store(device(), *self, table, {0, type});
    store.initialize(3);
    Checkpointer checkpointer(device(), *self, table, store, configuration_);
    checkpointer.start({1, 8, 512});
    ASSERT_EQ(checkpointer.wait()->error, "");

    CheckpointReader checkpoint(resolve_checkpoint(configuration_.run.dir));
    LoadedWeights weights(device(), checkpoint, table, type);
    for (int unit = 0; unit < store.shard_map().units(); ++unit)
      EXPECT_EQ(bytes_of(weights.acquire_weights(unit)), bytes_of(store.acquire_weights(unit))) << unit;
    EXPECT_EQ(weights.bytes(), static_cast<std::size_t>(store.shard_map().padded_total()) * size_of(type));
    EXPECT_LT(weights.bytes(), store.bytes() / 4);
    EXPECT_THROW(weights.gradients(0), Error);
    EXPECT_THROW(weights.gradients_ready(0), Error);
  }
}

TEST_P(LoadedWeightsTest, AreNotTakenFromADamagedFile) {
  const auto self = make_self_communicator();
  const ParameterTable table(configuration_.model);
  ShardedParameterStore store(device(), *self, table, {0, DataType::float32});
  store.initialize(3);
  Checkpointer checkpointer(device(), *self, table, store, configuration_);
  checkpointer.start({1, 8, 512});
  ASSERT_EQ(checkpointer.wait()->error, "");

  CheckpointReader checkpoint(resolve_checkpoint(configuration_.run.dir));
  const ShardRecord& shard = checkpoint.manifest().shards.front();
  std::fstream file(checkpoint.folder() + "/" + shard.file, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(shard.datasets.front().offset);
  file.put('!');
  file.close();
  EXPECT_THROW(LoadedWeights(device(), checkpoint, table, DataType::float32), FileError);
}

INSTANTIATE_TEST_SUITE_P(Devices, LoadedWeightsTest, every_device(), device_label);

}  // namespace
}  // namespace cola
