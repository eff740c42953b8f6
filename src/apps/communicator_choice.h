// What carries tensors between ranks: NCCL, or MPI, on host memory or through it.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "core/device.h"
#include "core/error.h"
#include "core/log.h"
#include "dist/mpi_session.h"
#include "dist/nccl_communicator.h"
#include "dist/staged_communicator.h"
#include "train/configuration/run_configuration.h"

namespace cola {

enum class TensorRoute { mpi, nccl, mpi_through_host_memory };

/// `nccl_obstacle`: why NCCL cannot serve, or empty. One rank alone sends nothing, and needs NCCL only where
/// it is asked for.
inline TensorRoute choose_route(DeviceKind device, Collectives wanted, int ranks,
                                const std::string& nccl_obstacle) {
  if (device == DeviceKind::cpu) return TensorRoute::mpi;
  if (wanted == Collectives::nccl) return TensorRoute::nccl;
  if (ranks == 1) return TensorRoute::mpi;
  return wanted == Collectives::automatic && nccl_obstacle.empty() ? TensorRoute::nccl
                                                                   : TensorRoute::mpi_through_host_memory;
}

/// Says why tensors of several GPUs do not go over NCCL. A build without it is hardly meant for them.
inline void tell_detour(const std::string& nccl_obstacle, bool built_without_nccl) {
  const std::string told = "tensors go over MPI through host memory, not NCCL: " + nccl_obstacle;
  if (built_without_nccl)
    warning("{}, which is slow: build it with NCCL, or set parallel.collectives: mpi", told);
  else
    information("{}", told);
}

/// The communicator for tensors on `device`; the device and the session outlive it. From here on the
/// session's watchdog keeps `parallel.timeout_seconds`. Collective. Throws UsageError, on all ranks, if NCCL
/// is asked for and cannot serve.
inline std::unique_ptr<Communicator> make_training_communicator(const ParallelSection& parallel,
                                                                Device& device, MpiSession& session) {
  session.watchdog().start(std::chrono::seconds(parallel.timeout_seconds));
  Communicator& world = session.world();
  const bool may_use_nccl =
      device.kind() == DeviceKind::cuda && parallel.collectives == Collectives::automatic;
  const std::string obstacle = may_use_nccl ? find_nccl_obstacle(device, world) : "";
  switch (choose_route(device.kind(), parallel.collectives, world.size(), obstacle)) {
    case TensorRoute::nccl:
      return make_nccl_communicator(device, world, session.watchdog());
    case TensorRoute::mpi:
      return world.split(0);
    case TensorRoute::mpi_through_host_memory:
      break;
  }
  if (!obstacle.empty() && world.rank() == 0) tell_detour(obstacle, nccl_version().empty());
  return make_staged_communicator(device, world);
}

}  // namespace cola
