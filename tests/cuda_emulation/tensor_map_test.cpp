// What is refused as a tensor map, and where the bytes of a box lie.
#include "tensor_map.h"

#include <gtest/gtest.h>

#include <set>

namespace cola::emulation {
namespace {

// An array of bf16 [3, 5, 64] whose rows are 144 bytes apart, boxes of 8 rows.
struct Description {
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  std::uint64_t address = 4096;
  cuuint32_t dimensions = 3;
  cuuint64_t sizes[5] = {64, 5, 3, 1, 1}, strides[4] = {144, 720, 0, 0};
  cuuint32_t box[5] = {64, 8, 1, 1, 1}, element_strides[5] = {1, 1, 1, 1, 1};
  CUtensorMapInterleave interleave = CU_TENSOR_MAP_INTERLEAVE_NONE;
  CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_128B;
};

CUresult encode(const Description& d, CUtensorMap* map) {
  return encode_tensor_map(map, d.type, d.dimensions, reinterpret_cast<void*>(d.address), d.sizes, d.strides,
                           d.box, d.element_strides, d.interleave, d.swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE,
                           CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}
template <typename Change>
CUresult encode_changed(Change&& change) {
  Description description;
  change(description);
  CUtensorMap map;
  return encode(description, &map);
}

TEST(EmulatedTensorMap, KeepsWhatItWasMadeOf) {
  CUtensorMap encoded;
  ASSERT_EQ(encode({}, &encoded), CUDA_SUCCESS);
  const TensorMap map = tensor_map_at(&encoded);
  EXPECT_EQ(map.dimensions, 3u);
  EXPECT_EQ(map.strides[1], 720u);
  EXPECT_EQ(map.row_bytes(), 128u);
  EXPECT_EQ(map.box_bytes(), 8u * 128);
}

TEST(EmulatedTensorMap, RefusesWhatTheDriverRefuses) {
  const auto invalid = CUDA_ERROR_INVALID_VALUE;
  EXPECT_EQ(encode_changed([](auto&) {}), CUDA_SUCCESS);
  EXPECT_EQ(encode_changed([](auto& d) { d.address += 8; }), invalid);
  EXPECT_EQ(encode_changed([](auto& d) { d.dimensions = 0; }), invalid);
  EXPECT_EQ(encode_changed([](auto& d) { d.dimensions = 6; }), invalid);
  EXPECT_EQ(encode_changed([](auto& d) { d.sizes[1] = 0; }), invalid);
  EXPECT_EQ(encode_changed([](auto& d) { d.strides[0] = 136; }), invalid);
  EXPECT_EQ(encode_changed([](auto& d) { d.strides[1] = std::uint64_t{1} << 40; }), invalid);
  EXPECT_EQ(encode_changed([](auto& d) { d.box[1] = 257; }), invalid);
  EXPECT_EQ(encode_changed([](auto& d) { d.box[1] = 0; }), invalid);
  EXPECT_EQ(encode_changed([](auto& d) { d.box[0] = 60; }), invalid)
      << "rows that are no multiple of 16 bytes";
  EXPECT_EQ(encode_changed([](auto& d) { d.box[0] = 72; }), invalid) << "rows wider than their swizzle";
  EXPECT_EQ(encode_changed([](auto& d) { d.swizzle = CU_TENSOR_MAP_SWIZZLE_64B; }), invalid);
  EXPECT_EQ(encode_changed([](auto& d) { d.element_strides[1] = 9; }), invalid);
}

TEST(EmulatedTensorMap, SaysWhatIsNotEmulated) {
  const auto missing = CUDA_ERROR_NOT_SUPPORTED;
  EXPECT_EQ(encode_changed([](auto& d) { d.element_strides[1] = 2; }), missing);
  EXPECT_EQ(encode_changed([](auto& d) { d.type = CU_TENSOR_MAP_DATA_TYPE_FLOAT64; }), missing);
  EXPECT_EQ(encode_changed([](auto& d) { d.interleave = CU_TENSOR_MAP_INTERLEAVE_32B; }), missing);
}

// The tables of the programming guide, "Swizzling Modes": with rows of 128 bytes piece j of row i lies at
// j xor i; with 64 bytes two rows share a line of 128 bytes and take turns together, with 32 bytes four.
TEST(EmulatedTensorMap, SwizzlesPiecesOf16Bytes) {
  for (const std::uint32_t width : {32u, 64u, 128u}) {
    TensorMap map;
    map.swizzle_bytes = width;
    const std::uint32_t pieces = width / 16, rows_a_line = 128 / width;
    std::set<std::uint32_t> places;
    for (std::uint32_t row = 0; row < 16; ++row)
      for (std::uint32_t piece = 0; piece < pieces; ++piece) {
        const std::uint32_t place = map.place_in_box(2048, row * width + piece * 16);
        EXPECT_EQ(place, 2048 + row * width + (piece ^ row / rows_a_line % pieces) * 16);
        places.insert(place);
      }
    EXPECT_EQ(places.size(), 16 * pieces);
  }
}

}  // namespace
}  // namespace cola::emulation
