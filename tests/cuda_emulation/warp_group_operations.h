// What the products of a group of four warps do (PTX ISA, "Asynchronous Warpgroup Level Matrix
// Instructions"), as late as a GPU may do it. A warp computes its own 16 rows of them, so that the four need
// not meet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "block.h"

namespace cola::emulation {

/// A lane's part in wgmma.m64nNk16 (bf16, fp32 sums), with N columns of the right operand. The left operand
/// lies in registers where `left` is given, else in shared memory.
struct GroupProductOperand {
  float* sums;  // columns / 2
  unsigned columns;
  const std::uint32_t* left;
  std::uint64_t left_descriptor, right_descriptor;
  bool left_down_columns, right_down_columns, accumulate;
  const void* place = nullptr;  // of the code that starts it
};

/// The products that one warp has started and not waited for.
class GroupProducts {
 public:
  /// Registers that later products take have been written.
  void prepare() { prepared_ = true; }
  /// Sums are NaN until the product is waited for: who touches them before is found. Throws EmulationError
  /// unless prepare came after the last wait.
  void start(const Operands& lanes, unsigned first_row);
  void close();
  /// Computes all closed batches but the `newest`.
  void wait(std::size_t newest);
  bool under_way() const { return !open_.empty() || !closed_.empty(); }
  void clear();

 private:
  struct Product {
    std::vector<GroupProductOperand> lanes;
    unsigned first_row;
    std::vector<float> sums;  // before it, where no other product under way has the same
  };
  static constexpr unsigned rows = 64, most_columns = 256, depth = 16, warp_rows = 16;

  static void read_operands(const Product& product, float (&left)[warp_rows][depth],
                            float (&right)[depth][most_columns]);
  static void finish(const Product& product);

  bool prepared_ = false;
  std::vector<Product> open_;
  std::deque<std::vector<Product>> closed_;  // oldest first
};

/// An address in the block's shared memory as instructions take it, and back.
std::uint32_t shared_address(const void* memory);
void* shared_pointer(const char* what, std::uint32_t address, std::size_t bytes);
/// Read by a product that the code at `place` started.
const void* shared_memory_at(std::uint32_t address, std::size_t bytes, const void* place);

}  // namespace cola::emulation
