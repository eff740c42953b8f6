#include "core/host_memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

namespace cola {

namespace {

namespace fs = std::filesystem;

// The file's first word; none where it is no number ("max": no limit) or cannot be read.
std::optional<std::uint64_t> number_in(const fs::path& path) {
  std::uint64_t number = 0;
  if (std::ifstream(path) >> number) return number;
  return std::nullopt;
}

// The number behind a name, in a file of lines "NAME NUMBER ..."; 0 where there is none.
std::uint64_t named_number(const fs::path& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + ' ') || line.starts_with(name + '\t'))
      return std::strtoull(line.c_str() + name.size(), nullptr, 10);
  return 0;
}

struct GroupFiles {
  const char *limit, *usage, *inactive, *active;  // names of files, and of numbers in memory.stat
};
constexpr GroupFiles version_2{"memory.max", "memory.current", "inactive_file", "active_file"};
constexpr GroupFiles version_1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
                               "total_active_file"};

// A group's memory is what it and every group above it may take.
void apply_groups(const fs::path& mount, fs::path group, const GroupFiles& files, HostMemory& memory) {
  for (group = group.relative_path();; group = group.parent_path()) {
    const fs::path folder = mount / group;
    const auto limit = number_in(folder / files.limit), usage = number_in(folder / files.usage);
    if (limit && *limit < memory.total_bytes) memory.total_bytes = *limit;
    if (limit && usage) {
      const std::uint64_t kept = named_number(folder / "memory.stat", files.inactive) +
                                 named_number(folder / "memory.stat", files.active);
      const std::uint64_t held = *usage - std::min(*usage, kept);
      memory.available_bytes = std::min(memory.available_bytes, *limit - std::min(*limit, held));
    }
    if (group.empty()) return;
  }
}

}  // namespace

HostMemory read_host_memory(const fs::path& root) {
  const fs::path facts = root / "proc/meminfo";
  HostMemory memory{named_number(facts, "MemTotal:") * 1024, named_number(facts, "MemAvailable:") * 1024};
  const fs::path groups = root / "sys/fs/cgroup";
  std::ifstream memberships(root / "proc/self/cgroup");  // "NUMBER:CONTROLLERS:GROUP"
  for (std::string line; std::getline(memberships, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = ',' + line.substr(first + 1, second - first - 1) + ',';
    const fs::path group = line.substr(second + 1);
    if (controllers == ",,")
      apply_groups(groups, group, version_2, memory);
    else if (controllers.find(",memory,") != std::string::npos)
      apply_groups(groups / "memory", group, version_1, memory);
  }
  return memory;
}

std::size_t peak_resident_bytes() {
  if (const std::uint64_t kibibytes = named_number("/proc/self/status", "VmHWM:"); kibibytes > 0)
    return kibibytes * 1024;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

void reset_peak_resident_bytes() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

}  // namespace cola
