#include "apps/data/output_folder.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "core/error.h"
#include "train/agreement.h"

namespace cola {

namespace fs = std::filesystem;

void OutputFolder::make(const std::string& folder) {
  std::error_code problem;
  std::vector<fs::path> missing;  // absolute: ranks need not share a working directory
  for (fs::path level = fs::absolute(folder, problem); !problem && !fs::exists(level, problem);
       level = level.parent_path())
    missing.push_back(level);
  for (; !problem && !missing.empty(); missing.pop_back())
    if (fs::create_directory(missing.back(), problem)) made_.push_back(missing.back().string());
  if (problem) throw UsageError("--output {}: cannot be made: {}", folder, problem.message());
}

// A path may hold any byte but a zero, which therefore ends it.
void OutputFolder::share(Communicator& world) {
  std::string text;
  for (const std::string& folder : made_) text += folder + '\0';
  made_.clear();
  std::istringstream folders(shared_text(world, text));
  for (std::string folder; std::getline(folders, folder, '\0');) made_.push_back(folder);
}

void OutputFolder::remove_if_empty() noexcept {
  std::for_each(made_.rbegin(), made_.rend(), [](const std::string& folder) { ::rmdir(folder.c_str()); });
}

}  // namespace cola
