#include "tensor_map.h"

#include <algorithm>
#include <cstring>

#include "emulation_error.h"

namespace cola::emulation {

namespace {

std::uint32_t bytes_of(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
      return 1;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      return 2;
    case CU_TENSOR_MAP_DATA_TYPE_UINT32:
    case CU_TENSOR_MAP_DATA_TYPE_INT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
      return 4;
    default:
      return 0;
  }
}

std::uint32_t bytes_of(CUtensorMapSwizzle swizzle) {
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_32B:
      return 32;
    case CU_TENSOR_MAP_SWIZZLE_64B:
      return 64;
    case CU_TENSOR_MAP_SWIZZLE_128B:
      return 128;
    default:
      return 0;
  }
}

bool is_acceptable(const TensorMap& map) {
  if (map.dimensions == 0 || map.dimensions > TensorMap::most_dimensions) return false;
  if (map.address % 16 != 0) return false;
  for (unsigned i = 0; i < map.dimensions; ++i)
    if (map.sizes[i] == 0 || map.sizes[i] > std::uint64_t{1} << 32 || map.box[i] == 0 || map.box[i] > 256)
      return false;
  for (unsigned i = 0; i + 1 < map.dimensions; ++i)
    if (map.strides[i] % 16 != 0 || map.strides[i] >= std::uint64_t{1} << 40) return false;
  return map.row_bytes() % 16 == 0 && (map.swizzle_bytes == 0 || map.row_bytes() <= map.swizzle_bytes);
}

}  // namespace

std::size_t TensorMap::box_bytes() const {
  std::size_t bytes = element_bytes;
  for (unsigned i = 0; i < dimensions; ++i) bytes *= box[i];
  return bytes;
}

// Rows of one swizzle's width, whose pieces of 16 bytes change places by the bits above ("Swizzling Modes").
std::uint32_t TensorMap::place_in_box(std::uint32_t begin, std::uint32_t offset) const {
  const std::uint32_t linear = begin + offset;
  if (swizzle_bytes == 0) return linear;
  return linear ^ (linear >> 7 & (swizzle_bytes / 16 - 1)) << 4;
}

TensorMap tensor_map_at(const void* address) {
  TensorMap map;
  if (reinterpret_cast<std::uintptr_t>(address) % 64 != 0)
    throw EmulationError("a tensor map at {}, which is not aligned to 64 bytes", address);
  std::memcpy(&map, address, sizeof(map));
  if (map.mark != TensorMap::expected_mark) throw EmulationError("no tensor map is at {}", address);
  return map;
}

CUresult encode_tensor_map(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t dimensions, void* address,
                           const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                           const cuuint32_t* element_strides, CUtensorMapInterleave interleave,
                           CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
  TensorMap made{TensorMap::expected_mark, dimensions, bytes_of(type), bytes_of(swizzle),
                 reinterpret_cast<std::uintptr_t>(address)};
  if (!map || reinterpret_cast<std::uintptr_t>(map) % 64 != 0 || dimensions > TensorMap::most_dimensions)
    return CUDA_ERROR_INVALID_VALUE;
  std::copy_n(sizes, dimensions, made.sizes.begin());
  if (dimensions > 1) std::copy_n(strides, dimensions - 1, made.strides.begin());
  for (unsigned i = 0; i < dimensions; ++i) {
    made.box[i] = static_cast<std::uint16_t>(std::min(box[i], 257u));
    if (element_strides[i] == 0 || element_strides[i] > 8) return CUDA_ERROR_INVALID_VALUE;
    if (element_strides[i] > 1) return CUDA_ERROR_NOT_SUPPORTED;  // here
  }
  if (made.element_bytes == 0 || interleave != CU_TENSOR_MAP_INTERLEAVE_NONE ||
      fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE ||
      (made.swizzle_bytes == 0 && swizzle != CU_TENSOR_MAP_SWIZZLE_NONE))
    return CUDA_ERROR_NOT_SUPPORTED;  // here
  if (!is_acceptable(made)) return CUDA_ERROR_INVALID_VALUE;
  *map = {};
  std::memcpy(map, &made, sizeof(made));
  return CUDA_SUCCESS;
}

}  // namespace cola::emulation
