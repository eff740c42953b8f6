// Brings a checkpoint's tensors back into a store.
#pragma once

#include <string>

#include "core/device.h"
#include "dist/communicator.h"
#include "dist/sharded_parameter_store.h"
#include "train/checkpoints/training_state.h"

namespace cola {

/// Loads this rank's part of `folder`, whatever number of ranks wrote it: only the ranges it needs.
/// Collective. Throws FileError.
TrainingState load_checkpoint(const std::string& folder, Communicator& communicator, Device& device,
                              ShardedParameterStore& store);

}  // namespace cola
