// Packs: 16 bytes of a tensor in registers, as floats. Memory-bound kernels read and write nothing smaller
// where rows allow it.
#pragma once

#include <cuda_bf16.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/cuda/row_alignment.h"

namespace cola::cuda {

__device__ inline float to_float(float value) {
  return value;
}
__device__ inline float to_float(__nv_bfloat16 value) {
  return __bfloat162float(value);
}
template <typename T>
__device__ inline T from_float(float value);
template <>
__device__ inline float from_float<float>(float value) {
  return value;
}
template <>
__device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

/// `width` elements as they lie in memory, read and written at most 16 bytes at a time: as 32-bit words where
/// there is more than one bf16 element, since compilers take vectors of smaller pieces apart.
template <typename T, int width>
struct [[gnu::may_alias]] alignas(std::min<std::size_t>(16, width * sizeof(T))) RawPack {
  using Word = std::conditional_t<(width * sizeof(T) < 4), std::uint16_t, std::uint32_t>;
  static constexpr int word_elements = static_cast<int>(sizeof(Word) / sizeof(T));
  Word words[width / word_elements];

  __device__ static RawPack load(const T* memory) { return *reinterpret_cast<const RawPack*>(memory); }
  __device__ void store(T* memory) const { *reinterpret_cast<RawPack*>(memory) = *this; }

  /// Element `i` as a float. A bf16 number is the upper half of a float.
  __device__ float operator[](int i) const {
    const std::uint32_t word = words[i / word_elements];
    if constexpr (std::is_same_v<T, float>) return __uint_as_float(word);
    return __uint_as_float(i % word_elements ? word & 0xffff0000u : word << 16);
  }
};

/// `width` elements as floats; width * sizeof(T) is 16 bytes where the fast path is taken, 1 element where
/// rows are not aligned.
template <typename T, int width>
struct Pack {
  float values[width];

  __device__ static Pack load(const T* memory) { return from(RawPack<T, width>::load(memory)); }
  __device__ static Pack from(const RawPack<T, width>& raw) {
    Pack pack;
#pragma unroll
    for (int i = 0; i < width; ++i) pack.values[i] = raw[i];
    return pack;
  }
  /// The values rounded to T.
  __device__ RawPack<T, width> rounded() const {
    RawPack<T, width> raw;
#pragma unroll
    for (int i = 0; i < width; i += raw.word_elements) {
      auto& word = raw.words[i / raw.word_elements];
      if constexpr (std::is_same_v<T, float>)
        word = __float_as_uint(values[i]);
      else if constexpr (width == 1)
        word = __bfloat16_as_ushort(__float2bfloat16_rn(values[i]));
      else {
        const __nv_bfloat162 pair = __floats2bfloat162_rn(values[i], values[i + 1]);
        memcpy(&word, &pair, sizeof(word));
      }
    }
    return raw;
  }
  __device__ void store(T* memory) const {
    rounded().store(memory);
  }
};

template <typename T>
constexpr int full_width = 16 / static_cast<int>(sizeof(T));

}  // namespace cola::cuda
