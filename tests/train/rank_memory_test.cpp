#include "train/plan/rank_memory.h"

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "core/host_memory.h"
#include "model/parameter_table.h"

namespace cola {
namespace {

// As long as nobody allocates it, a model may be of any size: layers with as many bytes of state as the host
// has, times `hosts`.
RunConfiguration run_with_state(double hosts) {
  RunConfiguration configuration;
  ModelConfiguration& model = configuration.model;
  const auto state_of = [&](int layers) {
    model.num_hidden_layers = layers;
    return 12.0 * static_cast<double>(ParameterTable(model).stored_elements());
  };
  const double layer = state_of(2) - state_of(1);
  model.num_hidden_layers =
      static_cast<int>(hosts * static_cast<double>(read_host_memory().total_bytes) / layer) + 1;
  configuration.train.global_batch = 8;
  configuration.train.micro_batch = 1;
  return configuration;
}

std::string refusal(const RunConfiguration& configuration, Communicator& communicator) {
  try {
    require_room_for_rank(configuration, *make_cpu_device(1), DataType::float32, communicator);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

TEST(RankMemory, IsAnEqualPartOfTheHosts) {
  run_on_threads(3, [&](Communicator& communicator) {
    const MemoryLimit limit =
        require_room_for_rank(run_with_state(0), *make_cpu_device(1), DataType::float32, communicator);
    EXPECT_STREQ(limit.name, "its part of the host's memory");
    const auto part = static_cast<double>(read_host_memory().total_bytes) / 3;
    EXPECT_LE(static_cast<double>(limit.bytes), part);
    EXPECT_GE(static_cast<double>(limit.bytes), 0.5 * part);
  });
}

TEST(RankMemory, IsWhatIsStated) {
  run_on_threads(1, [&](Communicator& communicator) {
    RunConfiguration configuration = run_with_state(0);
    configuration.train.device_memory_gib = 1e6;
    const MemoryLimit limit =
        require_room_for_rank(configuration, *make_cpu_device(1), DataType::float32, communicator);
    EXPECT_STREQ(limit.name, "train.device_memory_gib");
    EXPECT_EQ(limit.bytes, static_cast<std::size_t>(1e6 * 0x1p30));
  });
}

TEST(RankMemory, RefusesOnAllRanksWhatDoesNotFitTheHost) {
  run_on_threads(2, [&](Communicator& communicator) {
    RunConfiguration configuration = run_with_state(0.6);
    configuration.parallel.zero_stage = 0;
    configuration.checkpoint.ring_gib = 0.25;
    const std::string message = refusal(configuration, communicator);
    EXPECT_NE(message.find("train.micro_batch: 1 sequences of"), std::string::npos) << message;
    EXPECT_NE(message.find("a rank, more than its part of the host's memory ("), std::string::npos)
        << message;
  });
}

// Of ranks that hold the same state, one writes it, and has a ring; of those that share it, all.
TEST(RankMemory, CountsTheRingsThatThereAre) {
  run_on_threads(2, [&](Communicator& communicator) {
    RunConfiguration configuration = run_with_state(0.06);
    for (const int stage : {0, 1}) {
      configuration.parallel.zero_stage = stage;
      const MemoryLimit limit =
          require_room_for_rank(configuration, *make_cpu_device(1), DataType::float32, communicator);
      const auto host = static_cast<double>(read_host_memory().total_bytes);
      EXPECT_NEAR(static_cast<double>(limit.bytes) / host, (1 - 0.06) / 2, 0.01) << "stage " << stage;
    }
  });
}

TEST(RankMemory, RefusesARingThatDoesNotFitTheHost) {
  run_on_threads(1, [&](Communicator& communicator) {
    const std::string message = refusal(run_with_state(1.5), communicator);
    EXPECT_EQ(message.find("checkpoint.ring_gib: snapshots take "), 0u) << message;
  });
}

}  // namespace
}  // namespace cola
