// The communicator for tensors on a device over one for host memory: they travel through pinned host memory.
// For GPUs without NCCL, and for ranks that share a GPU.
#pragma once

#include <cstddef>
#include <memory>

#include "core/device.h"
#include "dist/communicator.h"

namespace cola {

/// Size of each of the two pieces of pinned memory that tensors pass through.
constexpr std::size_t staging_slot_bytes = std::size_t{32} << 20;

/// Tensors lie on `device`; numbers and texts go to `host` as they are. Both outlive it. A finished
/// collective has written to the device before kernels given from then on. Collective. Throws DeviceError if
/// there is not enough host memory.
std::unique_ptr<Communicator> make_staged_communicator(Device& device, Communicator& host,
                                                       std::size_t slot_bytes = staging_slot_bytes);

}  // namespace cola
