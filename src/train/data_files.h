// Data files: what the configuration's patterns lead to, looked at before anything is opened.
#pragma once

#include <string>
#include <vector>

namespace cola {

/// The files that `patterns` match. Throws UsageError that names `key` (data.train or data.validation) for a
/// pattern that is a folder or matches no file.
std::vector<std::string> require_data_files(const char* key, const std::vector<std::string>& patterns);

/// The files of each pattern by itself. Throws UsageError as require_data_files does, and naming file and
/// patterns for a file that two of them match.
std::vector<std::vector<std::string>> require_separate_data_files(const char* key,
                                                                  const std::vector<std::string>& patterns);

/// The first of `validation` that is also one of `train`, by whatever path; empty if none is.
std::string find_shared_file(const std::vector<std::string>& train,
                             const std::vector<std::string>& validation);

}  // namespace cola
