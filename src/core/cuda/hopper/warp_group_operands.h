// What products of a group of four warps take and give (warp_group.h): how it lies in shared memory and in
// registers.
//
// Operands in shared memory are squares: 64 rows of 64 bf16, 128 bytes a row, at a multiple of 1024 bytes,
// the eight chunks of 16 bytes of row r exchanged so that chunk c lies in place c ^ (r % 8) (the 128-byte
// swizzle).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace cola::cuda::warp_group {

constexpr int threads = 128;
constexpr int square = 64;
constexpr std::size_t square_bytes = std::size_t{square} * square * 2, square_alignment = 1024;
/// The depth of one product, and how many make up a square.
constexpr int depth = 16, depths = square / depth;

/// Where chunk `chunk` of row `row` begins in a square, in bytes.
__host__ __device__ constexpr int offset_in_square(int row, int chunk) {
  return row * 128 + ((chunk ^ (row & 7)) << 4);
}

/// fp32 [64, 64] in the registers of a group: warp w holds rows 16w to 16w + 15, each lane four elements of
/// eight tiles [16, 8] as multiply_tiles (tensor_core.h) leaves them.
using Sums = float[square / 8][4];
/// The left operand [64, 16] of one product: warp w holds rows 16w to 16w + 15, as multiply_tiles takes them.
using Left = std::uint32_t[4];

/// How an operand lies in its square: its rows (of the left one; of the right one its columns) are the
/// square's rows and the depth runs along them, or they are the square's columns and the depth runs down.
enum class Lies { along_rows = 0, down_columns = 1 };

/// The matrix descriptor (PTX ISA) of part `step` of an operand, one product deep, whose square stands at
/// this address of shared memory. No square lies beside it, so that the leading offset is never used; the
/// other is that of the next eight rows. Addresses and offsets count 16 bytes.
template <Lies lies>
__host__ __device__ constexpr std::uint64_t descriptor_of_part(std::uint32_t square_address, int step) {
  constexpr std::uint32_t step_bytes = lies == Lies::along_rows ? depth * 2 : depth * 128;
  constexpr std::uint64_t leading = 1, eight_rows = 8 * 128 >> 4, swizzle_128 = 1;
  const std::uint64_t address = square_address + static_cast<std::uint32_t>(step) * step_bytes;
  return (address & 0x3ffff) >> 4 | leading << 16 | eight_rows << 32 | swizzle_128 << 62;
}

}  // namespace cola::cuda::warp_group
