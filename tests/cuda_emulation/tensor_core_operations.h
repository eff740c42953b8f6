// What the tensor-core instructions do with the registers of a warp's 32 lanes (PTX ISA, "Warp Level Matrix
// Instructions").
#pragma once

#include <cstdint>

#include "block.h"

namespace cola::emulation {

/// A lane's registers in mma.m16n8k16 (bf16, fp32 sums).
struct ProductOperand {
  float (&d)[4];
  const std::uint32_t (&a)[4];
  const std::uint32_t (&b)[2];
};
void multiply_tiles(const Operands& lanes);

/// A lane's part in ldmatrix.x4: the registers it receives and the row it points to.
struct LoadOperand {
  std::uint32_t (&tiles)[4];
  const void* row;
};
void load_tiles(const Operands& lanes);
void load_tiles_transposed(const Operands& lanes);

}  // namespace cola::emulation
