#include "dist/mpi_library.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mpi.h>

#include <sstream>
#include <vector>

#include "dist/mpi_communicator.h"

namespace cola {

namespace {

using HasVariable = std::function<bool(const std::string& variable)>;

std::string single_blanks(const std::string& text) {
  std::istringstream words(text);
  std::string joined;
  for (std::string word; words >> word;) joined += (joined.empty() ? "" : " ") + word;
  return joined;
}

// "MPICH Device: ch4:ofi" on a line of its own.
std::string device_of_mpich(const std::string& version) {
  constexpr std::string_view title = "MPICH Device:";
  const std::size_t found = version.find(title);
  if (found == std::string::npos) return {};
  std::istringstream rest(version.substr(found + title.size()));
  std::string device;
  rest >> device;
  return device;
}

std::string find_in_use(const HasVariable& has_variable, const char* pattern,
                        const std::vector<const char*>& components) {
  std::vector<const char*> used;
  for (const char* component : components)
    if (has_variable(fmt::format(fmt::runtime(pattern), component))) used.push_back(component);
  return fmt::format("{}", fmt::join(used, ", "));
}

// ob1 sends over transports of its own (BTL), cm over one that matches messages (MTL), UCX by itself.
std::string layers_of_open_mpi(const HasVariable& has_variable) {
  const std::string upper = find_in_use(has_variable, "pml_{}_priority", {"ob1", "ucx", "cm"});
  std::string lower;
  if (upper == "ob1") {
    // Since Open MPI 5, vader is another name of sm.
    const char* shared_memory = has_variable("btl_sm_eager_limit") ? "sm" : "vader";
    lower = find_in_use(has_variable, "btl_{}_eager_limit", {shared_memory, "tcp", "openib", "ofi", "uct"});
  }
  if (upper == "cm") lower = find_in_use(has_variable, "mtl_{}_priority", {"ofi", "psm2", "portals4"});
  return lower.empty() ? upper : upper + " over " + lower;
}

}  // namespace

std::string describe_mpi(const std::string& version, const HasVariable& has_variable) {
  const std::string name = single_blanks(version.substr(0, version.find_first_of(",\n")));
  std::string carrier = device_of_mpich(version);
  if (carrier.empty()) carrier = layers_of_open_mpi(has_variable);
  return carrier.empty() ? name : name + ", " + carrier;
}

std::string mpi_version() {
  char version[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  check_mpi(MPI_Get_library_version(version, &length), "MPI_Get_library_version");
  return {version, static_cast<std::size_t>(length)};
}

// Cray's MPICH names MPICH too. It is reached through the plugin that its sites make Slurm's default; other
// descendants of MPICH speak PMI-2.
std::string slurm_launch_command(const std::string& version) {
  const auto names = [&](const char* library) { return version.find(library) != std::string::npos; };
  if (names("Open MPI")) return "srun --mpi=pmix";
  if (names("CRAY MPICH")) return "srun without --mpi=";
  if (names("MPICH") || names("Intel(R) MPI") || names("MVAPICH")) return "srun --mpi=pmi2";
  return "srun --mpi=TYPE, of those that srun --mpi=list shows";
}

std::string describe_mpi() {
  int provided = 0;
  const bool tools = MPI_T_init_thread(MPI_THREAD_SERIALIZED, &provided) == MPI_SUCCESS;
  const std::string text = describe_mpi(mpi_version(), [&](const std::string& variable) {
    int index = 0;
    return tools && MPI_T_cvar_get_index(variable.c_str(), &index) == MPI_SUCCESS;
  });
  if (tools) MPI_T_finalize();
  return text;
}

}  // namespace cola
