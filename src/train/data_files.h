// Data files: what the configuration's patterns lead to, looked at before anything is opened.
#pragma once

#include <string>
#include <vector>

#include "train/configuration/run_configuration.h"

namespace cola {

/// Throws UsageError that names `key` (data.train or data.validation) for a pattern that is a folder or
/// matches no file.
void require_data_files(const char* key, const std::vector<std::string>& patterns);

/// A warning if a file is both in data.train and in data.validation, whose loss then says nothing about text
/// that the model has not seen; empty if none is.
std::string find_shared_data(const DataSection& data);

}  // namespace cola
