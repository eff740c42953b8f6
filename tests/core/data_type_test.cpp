#include "core/data_type.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace cola {
namespace {

float through_bfloat16(float value) {
  return static_cast<float>(bfloat16(value));
}

TEST(Bfloat16, EveryNumberSurvivesTheWayThereAndBack) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    bfloat16 number;
    number.bits = static_cast<std::uint16_t>(bits);
    const float value = static_cast<float>(number);
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(through_bfloat16(value))) << bits;
    else
      EXPECT_EQ(bfloat16(value).bits, bits);
  }
}

TEST(Bfloat16, RoundsToNearestEven) {
  EXPECT_EQ(through_bfloat16(1 + 0x1p-8f), 1);                       // halfway: down to the even neighbour
  EXPECT_EQ(through_bfloat16(1 + 3 * 0x1p-8f), 1 + 0x1p-6f);         // halfway: up to the even neighbour
  EXPECT_EQ(through_bfloat16(1 + 0x1p-8f + 0x1p-23f), 1 + 0x1p-7f);  // just above halfway
  EXPECT_EQ(through_bfloat16(1 + 3 * 0x1p-8f - 0x1p-23f), 1 + 0x1p-7f);  // just below halfway
  EXPECT_EQ(through_bfloat16(-1 - 0x1p-8f), -1);
  EXPECT_EQ(through_bfloat16(0x1p-149f), 0);  // the smallest fp32 number
}

TEST(Bfloat16, KeepsWhatIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(through_bfloat16(infinity), infinity);
  EXPECT_EQ(through_bfloat16(-infinity), -infinity);
  EXPECT_EQ(through_bfloat16(std::numeric_limits<float>::max()), infinity);
  EXPECT_TRUE(std::signbit(through_bfloat16(-0.0f)));
  // NaNs whose payload lies in the lower half only, or whose rounding would overflow into the sign.
  for (const std::uint32_t bits : {0x7f800001u, 0xff800001u, 0x7fffffffu, 0xffffffffu, 0x7fc00000u}) {
    const float value = through_bfloat16(std::bit_cast<float>(bits));
    EXPECT_TRUE(std::isnan(value)) << bits;
    EXPECT_EQ(std::signbit(value), bits >> 31 != 0) << bits;
  }
}

TEST(DataType, HasSizeAndName) {
  static_assert(size_of(DataType::float32) == 4 && size_of(DataType::bfloat16) == 2 &&
                size_of(DataType::int32) == 4);
  static_assert(sizeof(bfloat16) == 2 && data_type_of<bfloat16>() == DataType::bfloat16);
  EXPECT_STREQ(name_of(DataType::bfloat16), "bf16");
  EXPECT_STREQ(name_of(DataType::float32), "fp32");
  EXPECT_STREQ(name_of(DataType::int32), "int32");
}

}  // namespace
}  // namespace cola
