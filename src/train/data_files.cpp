#include "train/data_files.h"

#include <filesystem>
#include <map>
#include <set>

#include "core/error.h"
#include "io/files/file_kind.h"
#include "io/tokens/dataset.h"

namespace cola {

std::vector<std::string> require_data_files(const char* key, const std::vector<std::string>& patterns) {
  for (std::string folder : patterns) {
    std::error_code ignored;  // find_token_files will say it
    if (!std::filesystem::is_directory(folder, ignored)) continue;
    while (folder.ends_with('/')) folder.pop_back();
    throw UsageError("{}: '{}' is a folder; name its files, as in [{}/*.h5]", key, folder, folder);
  }
  try {
    return find_token_files(patterns);
  } catch (const UsageError& error) {
    throw UsageError("{}: {}", key, error.what());
  }
}

std::vector<std::vector<std::string>> require_separate_data_files(const char* key,
                                                                  const std::vector<std::string>& patterns) {
  std::vector<std::vector<std::string>> files;
  std::map<std::string, std::string> pattern_of;
  for (const std::string& pattern : patterns)
    for (const std::string& file : files.emplace_back(require_data_files(key, {pattern})))
      if (const auto [known, is_new] = pattern_of.emplace(canonical_path(file), pattern); !is_new)
        throw UsageError(
            "{}: {} is matched by '{}' and by '{}'; with data.weights a file belongs to one of them", key,
            file, known->second, pattern);
  return files;
}

std::string find_shared_file(const std::vector<std::string>& train,
                             const std::vector<std::string>& validation) {
  std::set<std::string> trained;
  for (const std::string& file : train) trained.insert(canonical_path(file));
  for (const std::string& file : validation)
    if (trained.contains(canonical_path(file))) return file;
  return {};
}

}  // namespace cola
