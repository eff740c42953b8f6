// Token data of a run: opened in the manner that a shared file system likes.
#pragma once

#include <string>
#include <vector>

#include "core/host.h"
#include "dist/communicator.h"
#include "io/checkpoints/manifest.h"
#include "io/tokens/dataset.h"
#include "train/configuration/run_configuration.h"

namespace cola {

/// The data set of the files that `patterns`, those of the configuration's `key`, match. Rank 0 looks for the
/// files and reads their metadata for all; one rank of every other node tries whether it can open them; the
/// rest open a file when they first read from it, and throw FileError if it was replaced by then. Collective.
/// Throws UsageError, on all ranks, for what require_data_files and TokenDataset refuse, and for a file that
/// a node does not see or sees with another size.
TokenDataset open_token_data(const char* key, const std::vector<std::string>& patterns,
                             const RunConfiguration& configuration, Communicator& world,
                             const std::string& host = host_name());

/// All data of a run.
struct RunData {
  TokenDataset training, validation;
  DataRecord record;  // of the training data, for checkpoints
};

/// data.train, blended by data.weights, and data.validation, each as open_token_data opens it. Collective.
/// Throws UsageError, on all ranks, also if they come from different tokenizers, and for a file of two
/// corpora that are blended. Warns of a file that is in both.
RunData open_run_data(const RunConfiguration& configuration, Communicator& world);

}  // namespace cola
