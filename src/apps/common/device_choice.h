// Which device a rank computes on, from its configuration and its place on the node.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "apps/common/early_place.h"
#include "core/device.h"
#include "dist/mpi_session.h"
#include "dist/placement/job_allocation.h"
#include "dist/placement/rank_binding.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// What a configuration says of the time before ranks work together.
struct EarlySettings {
  EarlyChoices place;
  std::chrono::seconds timeout{0};  // parallel.timeout_seconds
};

/// The command line's --config and --set. What cannot be read is not answered here: it will be an error
/// later.
std::optional<EarlySettings> early_settings(int count, char** arguments);

/// One line with its cure on a job in which a program that can use GPUs finds none: schedulers hide the GPUs
/// that a job has not asked for. Empty outside of a job.
std::string describe_missing_gpus(const std::optional<Allocation>& job);

/// One line with its cure on a job in which a program without CUDA has GPUs before it: those that `visible`,
/// the value of CUDA_VISIBLE_DEVICES, names, or the `gpus_of_host` where it is not set. Empty outside of a
/// job, and where the scheduler has hidden all GPUs, so that none was asked for.
std::string describe_unused_gpus(const std::optional<Allocation>& job,
                                 const std::optional<std::string>& visible, std::size_t gpus_of_host);

/// Chooses and binds the rank's GPU, cores and threads. Collective.
RankPlace place_rank(const RunConfiguration& configuration, MpiSession& session);

/// The device of a placed rank, which is told its name. Throws UsageError if the configuration asks for what
/// is not here, DeviceError if a GPU that is here fails.
std::unique_ptr<Device> make_device(const RunConfiguration& configuration, RankPlace& place);

}  // namespace cola
