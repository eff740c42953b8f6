#include "core/arena.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"

namespace cola {
namespace {

struct alignas(256) Block {
  std::byte bytes[256];
};

// A sequence of allocations such as a model makes.
std::vector<Tensor> allocate_some(Arena& arena) {
  std::vector<Tensor> tensors;
  tensors.push_back(
      arena.allocate(MemoryUse::weights, DataType::float32, {3, 7}));  // 84 bytes, 256 with alignment
  tensors.push_back(arena.allocate(MemoryUse::workspace, DataType::bfloat16, {2, 64}));  // 256 bytes exactly
  tensors.push_back(
      arena.allocate(MemoryUse::weights, DataType::bfloat16, {1, 129}));  // 258 bytes, 512 with alignment
  return tensors;
}

TEST(Arena, HandsOutAlignedMemoryInOrder) {
  std::vector<Block> memory(4);
  Arena arena(memory.data(), sizeof(Block) * memory.size());
  const auto tensors = allocate_some(arena);
  EXPECT_EQ(tensors[0].data(), &memory[0]);
  EXPECT_EQ(tensors[1].data(), &memory[1]);
  EXPECT_EQ(tensors[2].data(), &memory[2]);
  EXPECT_EQ(tensors[2].describe(), "bf16[1, 129]");
  EXPECT_EQ(arena.used(), 1024u);
}

TEST(Arena, CountsWithoutMemoryWhatItWouldUse) {
  std::vector<Block> memory(4);
  Arena real(memory.data(), sizeof(Block) * memory.size()), counting;
  allocate_some(real);
  const auto tensors = allocate_some(counting);
  EXPECT_EQ(counting.used(), real.used());
  for (const Tensor& tensor : tensors) EXPECT_EQ(tensor.data(), nullptr);
  EXPECT_EQ(counting.used(MemoryUse::weights), 768u);
  EXPECT_EQ(counting.used(MemoryUse::workspace), 256u);
  EXPECT_EQ(counting.used(MemoryUse::gradients), 0u);
}

TEST(Arena, RefusesMoreThanItHas) {
  std::vector<Block> memory(2);
  Arena arena(memory.data(), sizeof(Block) * memory.size());
  EXPECT_NO_THROW(arena.allocate(MemoryUse::gradients, DataType::float32, {128}));  // exactly full
  try {
    arena.allocate(MemoryUse::gradients, DataType::bfloat16, {1});
    FAIL() << "the arena gave more than it has";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("bf16[1]"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace cola
