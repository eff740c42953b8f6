// The folder that cola_data tokenize writes to: made where it is missing, and gone again after a failure.
#pragma once

#include <string>
#include <vector>

#include "dist/communicator.h"

namespace cola {

/// What this run made of the output folder and those above it is removed at the end of each rank's copy,
/// unless something lies in it by then: the last rank to have taken its own files away leaves nothing behind.
class OutputFolder {
 public:
  OutputFolder() = default;
  ~OutputFolder() { remove_if_empty(); }
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// To be done by one rank. Throws UsageError naming the folder and the system's reason.
  void make(const std::string& folder);
  /// Tells all ranks what rank 0 has made. Collective.
  void share(Communicator& world);
  void remove_if_empty() noexcept;

 private:
  std::vector<std::string> made_;  // the outermost first
};

}  // namespace cola
