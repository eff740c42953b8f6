// The communicator for tensors on GPUs over NCCL: collectives run on a stream of their own, beside the
// kernels, and no call waits on the host. This header is free of nccl.h, so that NCCL stays inside one file.
#pragma once

#include <memory>
#include <string>

#include "core/device.h"
#include "dist/communicator.h"
#include "dist/watchdog.h"

namespace cola {

/// "2.28.9": the NCCL that runs here; empty in a build without it.
std::string nccl_version();

/// Why NCCL cannot serve these ranks: this build has none, or two ranks share a GPU, which NCCL does not
/// allow. Empty if it can. Collective; all ranks get the same answer. Throws AgreedError where ranks share
/// GPUs on some nodes only: such a node lacks one.
std::string find_nccl_obstacle(Device& device, Communicator& host);

/// Tensors lie on `device`, a GPU; numbers and texts go to `host`. `watchdog` hears of collectives that fail
/// or are stuck. All three outlive the communicator. Collective. Throws UsageError, on all ranks, for what
/// find_nccl_obstacle finds, and Error if NCCL cannot start.
std::unique_ptr<Communicator> make_nccl_communicator(Device& device, Communicator& host, Watchdog& watchdog);

}  // namespace cola
