// HostMemory: how much of its host's memory this process and those beside it may use, and how much it has
// used.
#pragma once

#include <cstddef>
#include <filesystem>

namespace cola {

struct HostMemory {
  std::size_t total_bytes = 0;      // the host's, or what the control group (of a job, a container) may take
  std::size_t available_bytes = 0;  // what is left of it now, files that the system merely keeps included
};

/// As /proc/meminfo and the control groups that this process is in say, of either version; zeros where the
/// system does not say. `root` is where the files lie, for tests.
HostMemory read_host_memory(const std::filesystem::path& root = "/");

/// The most physical memory this process has held so far, in bytes.
std::size_t peak_resident_bytes();
/// Forgets that peak, where the system allows it (Linux).
void reset_peak_resident_bytes();

}  // namespace cola
