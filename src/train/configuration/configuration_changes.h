// What differs between the configuration of a checkpoint and that of the run which resumes from it.
#pragma once

#include <string>
#include <vector>

#include "train/configuration/run_configuration.h"

namespace cola {

/// One key whose value differs; values as they stand in YAML.
struct ConfigurationChange {
  std::string key, before, now;  // key: "section.key"
};

/// All of them, in the order of the file.
std::vector<ConfigurationChange> configuration_changes(const RunConfiguration& before,
                                                       const RunConfiguration& now);

/// "optimizer.lr 0.004 -> 0.001, train.micro_batch 8 -> 16"
std::string describe(const std::vector<ConfigurationChange>& changes);

}  // namespace cola
