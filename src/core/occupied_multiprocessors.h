// OccupiedMultiprocessors: a GPU with less room, as kernels find it beside a collective.
#pragma once

#include <memory>

#include "core/device.h"

namespace cola {

/// While it lives, multiprocessors of a GPU hold another kernel. Nothing may be allocated or freed on the
/// device meanwhile: that waits for all kernels.
class OccupiedMultiprocessors {
 public:
  virtual ~OccupiedMultiprocessors() = default;
};

/// Whether kernels know that they run beside a collective.
enum class Beside { unaware, collective };

/// Returns once `count` multiprocessors are held, for about ten seconds at most. 0: none, so that only what
/// kernels know is changed. Nothing on a device without multiprocessors. Throws DeviceError.
std::unique_ptr<OccupiedMultiprocessors> occupy_multiprocessors(Device& device, int count, Beside beside);

}  // namespace cola
