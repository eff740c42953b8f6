// TensorMap: what the emulated driver keeps in a CUtensorMap, the description of an array in global memory
// that bulk copies move boxes of (CUDA driver API, "Tensor Map Object Management").
#pragma once

#include <cuda.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace cola::emulation {

struct TensorMap {
  static constexpr unsigned most_dimensions = 5;
  static constexpr std::uint32_t expected_mark = 0x50614d54;

  std::uint32_t mark = 0, dimensions = 0, element_bytes = 0;
  std::uint32_t swizzle_bytes = 0;  // 0: none
  std::uint64_t address = 0;
  std::array<std::uint64_t, most_dimensions> sizes{};        // elements; the first dimension is dense
  std::array<std::uint64_t, most_dimensions - 1> strides{};  // bytes, of the others
  std::array<std::uint16_t, most_dimensions> box{};          // elements

  std::size_t row_bytes() const { return std::size_t{box[0]} * element_bytes; }
  std::size_t box_bytes() const;
  /// Where the byte that is so far into the box lies, for a box at `begin` of shared memory.
  std::uint32_t place_in_box(std::uint32_t begin, std::uint32_t offset) const;
};
static_assert(sizeof(TensorMap) <= sizeof(CUtensorMap));

/// A copy, so that it may be used when the original is gone. Throws EmulationError if there is none.
TensorMap tensor_map_at(const void* address);

/// What cuTensorMapEncodeTiled does.
CUresult encode_tensor_map(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t dimensions, void* address,
                           const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                           const cuuint32_t* element_strides, CUtensorMapInterleave interleave,
                           CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                           CUtensorMapFloatOOBfill fill);

}  // namespace cola::emulation
