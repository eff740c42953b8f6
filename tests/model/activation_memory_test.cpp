// What passes keep, counted from the arena that the model itself allocates from.
#include <gtest/gtest.h>

#include "model/transformer.h"
#include "support/paper_sizes.h"

namespace cola {
namespace {

constexpr std::int64_t micro_batch = 16, sequence = 256, rows = micro_batch * sequence;
constexpr DataType type = DataType::bfloat16;

Arena walked(const ModelConfiguration& model, Recompute recompute) {
  Arena counting;
  allocate_memory(counting, model, {micro_batch, sequence, type, recompute});
  return counting;
}

/// Bytes that one more layer adds.
std::size_t bytes_of_a_layer(ModelConfiguration model, Recompute recompute) {
  const std::size_t before = walked(model, recompute).used();
  ++model.num_hidden_layers;
  return walked(model, recompute).used() - before;
}

/// The bound of CoLA-M with attention's output kept: 2nd + 7nr + nd values of the compute type a layer; and
/// the few fp32 numbers a row that norms and softmax need (two inverse root-mean-squares, a log-sum-exp a
/// head).
std::size_t cola_m_bound(const ModelConfiguration& model) {
  const std::int64_t values = rows * (2 * model.hidden_size + 7 * model.rank + model.hidden_size);
  const std::int64_t statistics = rows * (2 + model.num_attention_heads);
  return static_cast<std::size_t>(values) * size_of(type) +
         static_cast<std::size_t>(statistics) * size_of(DataType::float32);
}

TEST(ActivationMemory, ColaMKeepsItsBoundAndNoMore) {
  for (const auto& [name, model] : paper_sizes(ProjectionKind::cola)) {
    EXPECT_EQ(bytes_of_a_layer(model, Recompute::cola_m), cola_m_bound(model)) << name;
    // The fp32 statistics are within 2 % of the whole: 40 bytes against 4864 a row at 60m.
    const auto statistics = static_cast<double>(4 * rows * (2 + model.num_attention_heads));
    EXPECT_LT(statistics / static_cast<double>(cola_m_bound(model)), 0.02) << name;
  }
}

// All that does not grow with the number of layers is one layer's workspace, and the head's.
TEST(ActivationMemory, ColaMAddsOneLayersWorkspace) {
  for (const auto& [name, model] : paper_sizes(ProjectionKind::cola)) {
    const Arena all = walked(model, Recompute::cola_m), plain = walked(model, Recompute::none);
    const auto layers = static_cast<std::size_t>(model.num_hidden_layers);
    EXPECT_EQ(all.used(MemoryUse::activations), layers * cola_m_bound(model)) << name;
    // What is recomputed exists once: exactly what one layer keeps less than without recomputation.
    EXPECT_EQ(all.used(MemoryUse::workspace) - plain.used(MemoryUse::workspace),
              bytes_of_a_layer(model, Recompute::none) - bytes_of_a_layer(model, Recompute::cola_m))
        << name;
  }
}

TEST(ActivationMemory, EveryPolicyKeepsLessThanTheOneBefore) {
  for (const auto& [name, model] : paper_sizes(ProjectionKind::cola)) {
    EXPECT_LT(bytes_of_a_layer(model, Recompute::cola_m), bytes_of_a_layer(model, Recompute::none) / 2)
        << name;
    EXPECT_EQ(bytes_of_a_layer(model, Recompute::block),
              static_cast<std::size_t>(rows * model.hidden_size) * size_of(type))
        << name;
  }
}

}  // namespace
}  // namespace cola
