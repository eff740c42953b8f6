// Training of a tiny model with made-up gradients, and checks of what a ShardedParameterStore then holds: for
// every transport and number of ranks. Called by every rank.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/kernels/adamw.h"
#include "core/philox.h"
#include "dist/communicator.h"
#include "dist/sharded_parameter_store.h"
#include "reference/adamw.h"

namespace cola::testing {

/// Odd sizes, so that tensors and chunks are padded: the embedding is [37, 12], stored as [64, 64].
inline ParameterTable tiny_table() {
  ModelConfiguration configuration;
  configuration.vocab_size = 37;
  configuration.hidden_size = 12;
  configuration.intermediate_size = 29;
  configuration.num_hidden_layers = 2;
  configuration.num_attention_heads = configuration.num_key_value_heads = 2;
  configuration.rank = 5;
  return ParameterTable(configuration);
}

constexpr int gradient_parts = 12;  // divides evenly over 1, 2, 3 and 4 ranks
constexpr std::uint64_t weight_seed = 42;

/// Part `part` of the gradient of one unit in one step: zero in the padding of tensors.
inline std::vector<float> gradient_part(const ParameterTable& table, int unit, std::int64_t step, int part) {
  const Unit& place = table.units()[static_cast<std::size_t>(unit)];
  std::vector<float> values(static_cast<std::size_t>(place.elements), 0.0f);
  for (int i = place.first_parameter; i < place.last_parameter; ++i) {
    const Parameter& parameter = table.parameters()[static_cast<std::size_t>(i)];
    const std::uint64_t key = philox_key(static_cast<std::uint64_t>(1000 * step + part), parameter.name);
    for (std::int64_t element = 0; element < parameter.elements(); ++element) {
      const std::int64_t row = element / parameter.columns, column = element % parameter.columns;
      values[static_cast<std::size_t>(parameter.offset + row * parameter.stored_columns + column)] =
          philox_normal(key, static_cast<std::uint64_t>(element));
    }
  }
  return values;
}

inline AdamWParameters step_parameters(std::int64_t step) {
  AdamWParameters parameters;
  parameters.learning_rate = 2e-3f;
  parameters.weight_decay = 0.01f;
  parameters.gradient_scale = 0.125f;
  parameters.step = step;
  return parameters;
}

/// What a tensor on the device holds.
template <typename T>
std::vector<T> read(Device& device, const Tensor& tensor) {
  std::vector<T> values(tensor.bytes() / sizeof(T));
  device.copy_to_host(values.data(), tensor.data(), tensor.bytes());
  return values;
}
inline void write(Device& device, const Tensor& tensor, const std::vector<float>& values) {
  device.copy_from_host(tensor.data(), values.data(), tensor.bytes());
}

/// Adds this rank's parts of the gradients, as backward passes would: last unit first.
inline void accumulate_gradients(Device& device, ShardedParameterStore& store,
                                 const Communicator& communicator, const ParameterTable& table,
                                 std::int64_t step, int micro_batches) {
  store.zero_gradients();
  for (int micro_batch = 0; micro_batch < micro_batches; ++micro_batch) {
    if (micro_batch + 1 == micro_batches) store.begin_last_micro_batch();
    for (int unit = static_cast<int>(table.units().size()) - 1; unit >= 0; --unit) {
      std::vector<float> gradients = read<float>(device, store.gradients(unit));
      for (int part = communicator.rank(); part < gradient_parts; part += communicator.size()) {
        if (part * micro_batches / gradient_parts != micro_batch) continue;
        const std::vector<float> values = gradient_part(table, unit, step, part);
        std::transform(gradients.begin(), gradients.end(), values.begin(), gradients.begin(), std::plus<>());
      }
      write(device, store.gradients(unit), gradients);
      store.gradients_ready(unit);
    }
  }
}

/// The bytes of all units' working weights, as the model reads them.
inline std::string working_weights(Device& device, ShardedParameterStore& store,
                                   const ParameterTable& table) {
  std::string bytes;
  for (int unit = 0; unit < static_cast<int>(table.units().size()); ++unit) {
    const Tensor weights = store.acquire_weights(unit);
    EXPECT_EQ(weights.elements(), table.units()[static_cast<std::size_t>(unit)].elements);
    const std::vector<char> unit_bytes = read<char>(device, weights);
    bytes.append(unit_bytes.begin(), unit_bytes.end());
    store.release_weights(unit);
  }
  return bytes;
}

/// One of the store's sharded tensors in the flat space of all stored parameters, joined from all shards.
inline std::vector<double> join_shards(Device& device, const ParameterTable& table,
                                       const ShardedParameterStore& store, Communicator& communicator,
                                       const Tensor& shard_tensor) {
  std::vector<double> flat(static_cast<std::size_t>(table.stored_elements()), 0.0);
  const std::vector<float> values = read<float>(device, shard_tensor);
  for (const ShardRange& range : store.shard_map().ranges(store.shard()))
    std::copy(values.begin() + range.local, values.begin() + range.local + range.elements(),
              flat.begin() + range.begin);
  if (store.shard_map().shards() > 1) communicator.all_reduce(std::span(flat));
  return flat;
}

struct TrainingResult {
  std::string initial, working;
  reference::AdamWState state;
  std::vector<double> norms;
};

inline TrainingResult train(Device& device, Communicator& communicator, StoreOptions options, int steps = 3,
                            int micro_batches = 2) {
  const ParameterTable table = tiny_table();
  ShardedParameterStore store(device, communicator, table, options);
  store.initialize(weight_seed);
  TrainingResult result;
  result.initial = working_weights(device, store, table);
  for (std::int64_t step = 1; step <= steps; ++step) {
    accumulate_gradients(device, store, communicator, table, step, micro_batches);
    result.norms.push_back(store.gradient_norm());
    store.update(step_parameters(step));
  }
  result.working = working_weights(device, store, table);
  result.state.weights = join_shards(device, table, store, communicator, store.master_weights());
  result.state.exp_avg = join_shards(device, table, store, communicator, store.exp_avg());
  result.state.exp_avg_sq = join_shards(device, table, store, communicator, store.exp_avg_sq());
  return result;
}

/// The same training in plain double loops, without a store.
inline TrainingResult train_plainly(int steps = 3) {
  const ParameterTable table = tiny_table();
  const auto elements = static_cast<std::size_t>(table.stored_elements());
  TrainingResult result;
  for (const Parameter& parameter : table.parameters()) {
    std::vector<float> values(static_cast<std::size_t>(parameter.stored_elements()));
    initialize(parameter, weight_seed, 0, values);
    result.state.weights.insert(result.state.weights.end(), values.begin(), values.end());
  }
  result.state.exp_avg.assign(elements, 0.0);
  result.state.exp_avg_sq.assign(elements, 0.0);
  for (std::int64_t step = 1; step <= steps; ++step) {
    std::vector<double> gradient(elements, 0.0);
    for (const Unit& unit : table.units())
      for (int part = 0; part < gradient_parts; ++part) {
        const auto values = gradient_part(table, static_cast<int>(&unit - table.units().data()), step, part);
        std::transform(values.begin(), values.end(), gradient.begin() + unit.offset,
                       gradient.begin() + unit.offset, std::plus<>());
      }
    double squares = 0;
    for (const double value : gradient) squares += value * value;
    result.norms.push_back(std::sqrt(squares));
    reference::adamw_update(step_parameters(step), gradient, result.state);
  }
  return result;
}

inline void expect_near(const std::vector<double>& actual, const std::vector<double>& expected,
                        double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], tolerance * std::max(1.0, std::abs(expected[i]))) << i;
}

inline void expect_same_training(const TrainingResult& actual, const TrainingResult& expected) {
  expect_near(actual.norms, expected.norms, 1e-6);
  expect_near(actual.state.weights, expected.state.weights, 1e-6);
  expect_near(actual.state.exp_avg, expected.state.exp_avg, 1e-6);
  expect_near(actual.state.exp_avg_sq, expected.state.exp_avg_sq, 1e-6);
}

/// The working weights are the master weights, rounded to the compute type.
inline void expect_published(const std::string& working, const std::vector<double>& master, DataType type) {
  ASSERT_EQ(working.size(), master.size() * size_of(type));
  for (std::size_t i = 0; i < master.size(); ++i) {
    const float expected = static_cast<float>(master[i]);
    if (type == DataType::float32) {
      float actual = 0;
      std::memcpy(&actual, working.data() + 4 * i, 4);
      ASSERT_EQ(actual, expected) << i;
    } else {
      bfloat16 actual;
      std::memcpy(&actual, working.data() + 2 * i, 2);
      ASSERT_EQ(actual.bits, bfloat16(expected).bits) << i;
    }
  }
}

/// One way of sharding against plain loops: values, equality of ranks, and repeatability.
inline void check_training(Device& device, Communicator& communicator, StoreOptions options) {
  const TrainingResult result = train(device, communicator, options);
  expect_same_training(result, train_plainly());
  expect_published(result.working, result.state.weights, options.compute_type);
  const std::vector<std::string> everyones = communicator.all_gather(result.working);
  EXPECT_TRUE(std::all_of(everyones.begin(), everyones.end(),
                          [&](const auto& other) { return other == result.working; }));

  const TrainingResult again = train(device, communicator, options);
  EXPECT_TRUE(again.working == result.working) << "the second run gave other bits";
  EXPECT_EQ(again.norms, result.norms);
  EXPECT_EQ(again.state.exp_avg_sq, result.state.exp_avg_sq);

  const auto alone = make_self_communicator();
  EXPECT_TRUE(train(device, *alone, options, 0).initial == result.initial)
      << "initial weights depend on the number of ranks";
}

// Weights put in from outside, as a checkpoint is, reach every rank when they are published.
inline void check_publishing(Device& device, Communicator& communicator, StoreOptions options) {
  const ParameterTable table = tiny_table();
  ShardedParameterStore store(device, communicator, table, options);
  store.initialize(weight_seed);
  std::vector<float> master = read<float>(device, store.master_weights());
  for (const ShardRange& range : store.shard_map().ranges(store.shard()))
    for (std::int64_t i = 0; i < range.elements(); ++i)
      master[static_cast<std::size_t>(range.local + i)] = std::sqrt(static_cast<float>(range.begin + i));
  write(device, store.master_weights(), master);
  store.publish_weights();
  std::vector<double> expected(static_cast<std::size_t>(table.stored_elements()));
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = std::sqrt(static_cast<float>(i));
  expect_published(working_weights(device, store, table), expected, options.compute_type);
}

// One NaN on one rank is seen by all, before any weight has changed.
inline void check_not_a_number(Device& device, Communicator& communicator, StoreOptions options) {
  const ParameterTable table = tiny_table();
  ShardedParameterStore store(device, communicator, table, options);
  store.initialize(weight_seed);
  const std::string before = working_weights(device, store, table);
  store.zero_gradients();
  store.begin_last_micro_batch();
  for (int unit = static_cast<int>(table.units().size()) - 1; unit >= 0; --unit) {
    if (unit == 1 && communicator.rank() == communicator.size() - 1)
      write(device, store.gradients(unit).view(3, {1}), {NAN});
    store.gradients_ready(unit);
  }
  EXPECT_TRUE(std::isnan(store.gradient_norm()));
  EXPECT_TRUE(working_weights(device, store, table) == before);
}

inline void check_store(Device& device, Communicator& communicator) {
  for (const int stage : {0, 1, 2, 3})
    for (const DataType type : {DataType::float32, DataType::bfloat16}) {
      SCOPED_TRACE("stage " + std::to_string(stage) + ", " + name_of(type));
      check_training(device, communicator, {stage, type});
      check_publishing(device, communicator, {stage, type});
      check_not_a_number(device, communicator, {stage, type});
    }
}

}  // namespace cola::testing
