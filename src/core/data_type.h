// Element types of tensors, and bfloat16 as a storage type: arithmetic is always done in float.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace cola {

/// fp64 is for sums that stay on the device: nothing is computed in it otherwise.
enum class DataType { float32, bfloat16, int32, float64 };

constexpr std::size_t size_of(DataType type) {
  return type == DataType::bfloat16 ? 2 : type == DataType::float64 ? 8 : 4;
}
constexpr const char* name_of(DataType type) {
  switch (type) {
    case DataType::float32:
      return "fp32";
    case DataType::bfloat16:
      return "bf16";
    case DataType::int32:
      return "int32";
    case DataType::float64:
      return "fp64";
  }
  return "";
}

/// Brain floating point: the upper half of an IEEE binary32, rounded to nearest even.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  explicit bfloat16(float value) : bits(round(value)) {}
  /// Writes the bits in place: loops that store this way become vector code, copies of a temporary do not.
  bfloat16& operator=(float value) {
    bits = round(value);
    return *this;
  }
  explicit operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

 private:
  // Written without branches so that loops over it vectorize; a NaN keeps its sign and becomes quiet.
  static std::uint16_t round(float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
    const std::uint32_t quiet = (word >> 16) | 0x40u;
    return static_cast<std::uint16_t>((word & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
  }
};

template <typename T>
constexpr DataType data_type_of();
template <>
constexpr DataType data_type_of<float>() {
  return DataType::float32;
}
template <>
constexpr DataType data_type_of<bfloat16>() {
  return DataType::bfloat16;
}
template <>
constexpr DataType data_type_of<std::int32_t>() {
  return DataType::int32;
}
template <>
constexpr DataType data_type_of<double>() {
  return DataType::float64;
}

}  // namespace cola
