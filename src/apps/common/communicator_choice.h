// What carries tensors between ranks: NCCL, or MPI, on host memory or through it.
#pragma once

#include <memory>
#include <string>

#include "core/device.h"
#include "dist/mpi_session.h"
#include "train/configuration/run_configuration.h"

namespace cola {

enum class TensorRoute { mpi, nccl, mpi_through_host_memory };

/// `nccl_obstacle`: why NCCL cannot serve, or empty. One rank alone sends nothing, and needs NCCL only where
/// it is asked for.
TensorRoute choose_route(DeviceKind device, Collectives wanted, int ranks, const std::string& nccl_obstacle);

/// Says why tensors of several GPUs do not go over NCCL. A build without it is hardly meant for them.
void tell_detour(const std::string& nccl_obstacle, bool built_without_nccl);

/// The communicator for tensors on `device`; the device and the session outlive it. From here on the
/// session's watchdog keeps `parallel.timeout_seconds`. Collective. Throws UsageError, on all ranks, if NCCL
/// is asked for and cannot serve.
std::unique_ptr<Communicator> make_training_communicator(const ParallelSection& parallel, Device& device,
                                                         MpiSession& session);

}  // namespace cola
