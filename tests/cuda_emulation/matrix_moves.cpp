#include "matrix_moves.h"

#include <cstring>

namespace cola::emulation {

namespace {

// Calls move(element in shared memory, lane's register, half of it) for each element.
template <typename Move>
void for_each_element(const Operands& lanes, Move&& move) {
  const auto operand = [&](unsigned lane) { return static_cast<MatrixOperand*>(lanes[lane]); };
  for (unsigned matrix = 0; matrix < operand(0)->matrices; ++matrix)
    for (unsigned lane = 0; lane < warp_lanes; ++lane)
      for (unsigned half = 0; half < 2; ++half) {
        const unsigned line = lane / 4, place = lane % 4 * 2 + half;
        const bool transposed = operand(0)->transposed;
        auto* const row = static_cast<std::uint16_t*>(operand(matrix * 8 + (transposed ? place : line))->row);
        move(row[transposed ? line : place],
             reinterpret_cast<std::uint16_t*>(&operand(lane)->registers[matrix])[half]);
      }
}

}  // namespace

void load_matrices(const Operands& lanes) {
  for_each_element(lanes, [](std::uint16_t& element, std::uint16_t& half) { half = element; });
}

void store_matrices(const Operands& lanes) {
  for_each_element(lanes, [](std::uint16_t& element, std::uint16_t& half) { element = half; });
}

}  // namespace cola::emulation
