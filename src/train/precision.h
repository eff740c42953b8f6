// The type that a run computes in.
#pragma once

#include "core/device.h"
#include "core/tensor.h"
#include "train/run_configuration.h"

namespace cola {

/// `auto` is bf16 where the device multiplies it faster than fp32.
inline DataType compute_type_of(Precision precision, const Device& device) {
  if (precision == Precision::automatic)
    return device.prefers_bfloat16() ? DataType::bfloat16 : DataType::float32;
  return precision == Precision::bf16 ? DataType::bfloat16 : DataType::float32;
}

}  // namespace cola
