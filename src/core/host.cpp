#include "core/host.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>

namespace cola {

std::vector<int> usable_core_ids() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> ids;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core)
      if (CPU_ISSET(core, &set)) ids.push_back(core);
    return ids;
  }
  // More cores than the set can name: all that are online.
  for (int core = 0; core < sysconf(_SC_NPROCESSORS_ONLN); ++core) ids.push_back(core);
  return ids;
}

bool bind_to_cores(const std::vector<int>& ids) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : ids) CPU_SET(core, &set);
  return sched_setaffinity(0, sizeof(set), &set) == 0;
}

int usable_cores() {
  return static_cast<int>(usable_core_ids().size());
}

std::string host_name() {
  std::string name(256, '\0');
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.c_str();
}

std::vector<std::string> addressed_interfaces() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  std::set<std::string> names;  // an interface is listed once for each of its addresses
  for (const ifaddrs* entry = list; entry; entry = entry->ifa_next) {
    if (!entry->ifa_addr || !(entry->ifa_flags & IFF_UP) || (entry->ifa_flags & IFF_LOOPBACK)) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family == AF_INET || family == AF_INET6) names.insert(entry->ifa_name);
  }
  freeifaddrs(list);
  return {names.begin(), names.end()};
}

int interface_megabits(const std::string& interface) {
  int megabits = 0;
  std::ifstream("/sys/class/net/" + interface + "/speed") >> megabits;
  return megabits > 0 ? megabits : 0;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "CPU";
}

std::size_t available_host_bytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("MemAvailable:")) return std::stoull(line.substr(13)) * 1024;
  return 0;
}

std::size_t peak_resident_bytes() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

void reset_peak_resident_bytes() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

bool stdout_is_terminal() {
  const char* terminal = std::getenv("TERM");
  if (isatty(STDOUT_FILENO) != 1 || !terminal || std::string_view(terminal) == "dumb") return false;
  // mpirun gives its ranks a terminal of their own and copies it to its output: what that is decides.
  if (!std::getenv("OMPI_COMM_WORLD_SIZE")) return true;
  std::error_code error;
  const std::string output =
      std::filesystem::read_symlink("/proc/" + std::to_string(getppid()) + "/fd/1", error);
  return !error && (output.starts_with("/dev/pts/") || output.starts_with("/dev/tty"));
}

}  // namespace cola
