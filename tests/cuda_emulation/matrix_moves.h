// What ldmatrix and stmatrix do with the registers of a warp's 32 lanes: 1, 2 or 4 matrices of 8 x 8 elements
// of 16 bits. Lane i has the place of row i % 8 of matrix i / 8 (PTX ISA, "ldmatrix", "stmatrix").
#pragma once

#include <cstdint>

#include "block.h"

namespace cola::emulation {

struct MatrixOperand {
  std::uint32_t registers[4];
  unsigned matrices;
  bool transposed;
  void* row;  // null where the lane points to none
};
void load_matrices(const Operands& lanes);
void store_matrices(const Operands& lanes);

}  // namespace cola::emulation
