// The type that a run computes in.
#pragma once

#include "core/device.h"
#include "core/tensor.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// `auto` is bf16 where the device multiplies it faster than fp32.
inline DataType compute_type_of(Precision precision, bool device_prefers_bfloat16) {
  const bool bfloat16 =
      precision == Precision::automatic ? device_prefers_bfloat16 : precision == Precision::bf16;
  return bfloat16 ? DataType::bfloat16 : DataType::float32;
}
inline DataType compute_type_of(Precision precision, const Device& device) {
  return compute_type_of(precision, device.prefers_bfloat16());
}

}  // namespace cola
