// From a tensor's run-time type to a kernel's compile-time type.
#pragma once

#include "core/cuda/pack.h"
#include "core/tensor.h"

namespace cola::cuda {

/// The tensor's elements as a kernel sees them; T is float, __nv_bfloat16 or int32_t. Not checked: dispatch
/// chose T.
template <typename T>
T* data(const Tensor& tensor) {
  return static_cast<T*>(tensor.data());
}

/// Calls body.operator()<T, width>(): T for `type` (fp32 or bf16), width the elements in 16 bytes where rows
/// are aligned, else 1.
template <typename Body>
void dispatch(DataType type, bool aligned, Body&& body) {
  if (type == DataType::float32)
    aligned ? body.template operator()<float, full_width<float>>() : body.template operator()<float, 1>();
  else
    aligned ? body.template operator()<__nv_bfloat16, full_width<__nv_bfloat16>>()
            : body.template operator()<__nv_bfloat16, 1>();
}

}  // namespace cola::cuda
