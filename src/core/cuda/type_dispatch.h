// From a tensor's run-time type to a kernel's compile-time type.
#pragma once

#include <type_traits>

#include "core/cuda/check.h"
#include "core/cuda/pack.h"
#include "core/tensor.h"

namespace cola::cuda {

/// The tensor's elements as a kernel sees them; T is float, __nv_bfloat16, int32_t or double. Throws Error if
/// the tensor's are others.
template <typename T>
T* data(const Tensor& tensor) {
  if constexpr (std::is_same_v<std::remove_const_t<T>, __nv_bfloat16>)
    return reinterpret_cast<T*>(tensor.as<bfloat16>());
  else
    return tensor.as<std::remove_const_t<T>>();
}

/// Calls body.operator()<T, width>(): T for `type`, width the elements in 16 bytes where rows are aligned,
/// else 1. Throws Error unless `type` is fp32 or bf16.
template <typename Body>
void dispatch(DataType type, bool aligned, Body&& body) {
  if (type == DataType::float32)
    aligned ? body.template operator()<float, full_width<float>>() : body.template operator()<float, 1>();
  else if (type == DataType::bfloat16)
    aligned ? body.template operator()<__nv_bfloat16, full_width<__nv_bfloat16>>()
            : body.template operator()<__nv_bfloat16, 1>();
  else
    refuse_type(type);
}

}  // namespace cola::cuda
