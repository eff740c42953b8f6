#include "core/host.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "core/error.h"

namespace cola {

namespace {

// A set of cores as the system takes it, for as many as it needs.
class CoreSet {
 public:
  explicit CoreSet(int cores) : bytes_(CPU_ALLOC_SIZE(cores)), set_(CPU_ALLOC(cores)) {
    CPU_ZERO_S(bytes_, set_.get());
  }
  void add(int core) { CPU_SET_S(core, bytes_, set_.get()); }
  bool read() { return sched_getaffinity(0, bytes_, set_.get()) == 0; }
  bool apply() const { return sched_setaffinity(0, bytes_, set_.get()) == 0; }
  std::vector<int> ids() const {
    std::vector<int> ids;
    for (int core = 0; core < static_cast<int>(8 * bytes_); ++core)
      if (CPU_ISSET_S(core, bytes_, set_.get())) ids.push_back(core);
    return ids;
  }

 private:
  struct Free {
    void operator()(cpu_set_t* set) const noexcept { CPU_FREE(set); }
  };
  std::size_t bytes_;
  std::unique_ptr<cpu_set_t, Free> set_;
};

}  // namespace

// The system refuses sets that are smaller than its own, whose size it does not tell.
std::vector<int> usable_core_ids() {
  constexpr int first_guess = 1024, most = 1 << 20;
  for (int cores = first_guess; cores <= most; cores *= 2)
    if (CoreSet set(cores); set.read()) return set.ids();
  throw Error("the cores this process may use cannot be read: {}", std::strerror(errno));
}

bool bind_to_cores(const std::vector<int>& ids) {
  CoreSet set(ids.empty() ? 1 : *std::max_element(ids.begin(), ids.end()) + 1);
  for (const int core : ids) set.add(core);
  return set.apply();
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
