#include "tensor_core_operations.h"

#include <bit>
#include <cstring>

namespace cola::emulation {

namespace {

float bfloat16_value(std::uint32_t bits) {
  return std::bit_cast<float>(bits << 16);
}
// The element with the lower index lies in the lower half of a register.
float half_of(std::uint32_t pair, unsigned which) {
  return bfloat16_value(which == 0 ? pair & 0xffffu : pair >> 16);
}

// Element `column` of row `row` of tile `tile`: lane 8 * tile + row points to that row.
std::uint32_t element(const Operands& lanes, unsigned tile, unsigned row, unsigned column) {
  const auto* address =
      static_cast<const unsigned char*>(static_cast<LoadOperand*>(lanes[8 * tile + row])->row);
  std::uint16_t bits = 0;
  std::memcpy(&bits, address + sizeof(bits) * column, sizeof(bits));
  return bits;
}

}  // namespace

// Section "Matrix Fragments for mma.m16n8k16": with group = lane / 4 and in_group = lane % 4,
//   a_i: row = group (+ 8 if i is 2, 3, 6 or 7), column = 2 * in_group + i % 2 (+ 8 if i >= 4);
//   b_i: row = 2 * in_group + i % 2 (+ 8 if i >= 2), column = group;
//   d_i: row = group (+ 8 if i >= 2), column = 2 * in_group + i % 2.
void multiply_tiles(const Operands& lanes) {
  float a[16][16], b[16][8];
  for (unsigned lane = 0; lane < warp_lanes; ++lane) {
    const auto& registers = *static_cast<const ProductOperand*>(lanes[lane]);
    const unsigned group = lane / 4, in_group = lane % 4;
    for (unsigned i = 0; i < 8; ++i)
      a[group + (i / 2 % 2) * 8][2 * in_group + i % 2 + (i / 4) * 8] = half_of(registers.a[i / 2], i % 2);
    for (unsigned i = 0; i < 4; ++i)
      b[2 * in_group + i % 2 + (i / 2) * 8][group] = half_of(registers.b[i / 2], i % 2);
  }
  float product[16][8] = {};
  for (unsigned row = 0; row < 16; ++row)
    for (unsigned k = 0; k < 16; ++k)
      for (unsigned column = 0; column < 8; ++column) product[row][column] += a[row][k] * b[k][column];
  for (unsigned lane = 0; lane < warp_lanes; ++lane) {
    auto& registers = *static_cast<ProductOperand*>(lanes[lane]);
    for (unsigned i = 0; i < 4; ++i)
      registers.d[i] += product[lane / 4 + (i / 2) * 8][2 * (lane % 4) + i % 2];
  }
}

void load_tiles(const Operands& lanes) {
  for (unsigned lane = 0; lane < warp_lanes; ++lane)
    for (unsigned tile = 0; tile < 4; ++tile)
      static_cast<LoadOperand*>(lanes[lane])->tiles[tile] =
          element(lanes, tile, lane / 4, 2 * (lane % 4)) | element(lanes, tile, lane / 4, 2 * (lane % 4) + 1)
                                                               << 16;
}

void load_tiles_transposed(const Operands& lanes) {
  for (unsigned lane = 0; lane < warp_lanes; ++lane)
    for (unsigned tile = 0; tile < 4; ++tile)
      static_cast<LoadOperand*>(lanes[lane])->tiles[tile] =
          element(lanes, tile, 2 * (lane % 4), lane / 4) | element(lanes, tile, 2 * (lane % 4) + 1, lane / 4)
                                                               << 16;
}

}  // namespace cola::emulation
