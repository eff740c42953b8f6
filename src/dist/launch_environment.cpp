#include "dist/launch_environment.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string_view>

#include "core/error.h"

namespace cola {

namespace {

struct Launcher {
  const char* name;
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
  const char* nodes;
};

// Innermost first: mpirun may run inside a Slurm step, and PALS sets the variables of PMI too (PMI_SIZE is
// its only word on the number of ranks). srun sets SLURM_STEP_NUM_TASKS for its tasks; a batch script has
// only SLURM_NTASKS, and is one process.
constexpr const char* unsaid = nullptr;
constexpr std::array launchers{
    Launcher{"Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
             "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", unsaid},
    Launcher{"PALS", "PALS_RANKID", "PMI_SIZE", "PALS_LOCAL_RANKID", "PMI_LOCAL_SIZE", unsaid},
    Launcher{"Hydra", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", unsaid},
    Launcher{"PMI", "PMI_RANK", "PMI_SIZE", "PMI_LOCAL_RANK", "PMI_LOCAL_SIZE", unsaid},
    Launcher{"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", unsaid,
             "SLURM_STEP_NUM_NODES"},
};

std::string describe(const Placement& placement) {
  std::string text = fmt::format("rank {} of {}", placement.rank, placement.size);
  if (placement.local_rank) text += fmt::format(" (number {} on its node)", *placement.local_rank);
  if (placement.nodes) text += fmt::format(" on {} nodes", *placement.nodes);
  return text;
}

// Whether two words on one thing differ; where one is silent they do not.
bool differ(std::optional<int> meant, std::optional<int> found) {
  return meant && found && *meant != *found;
}

}  // namespace

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

// Empty is unset: so scripts write it.
std::optional<int> read_number(const VariableLookup& lookup, const char* name) {
  if (name == unsaid) return std::nullopt;
  const std::optional<std::string> text = lookup(name);
  if (!text || text->empty()) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number < 0)
    throw UsageError("environment variable {} is '{}', not a number", name, *text);
  return number;
}

std::optional<LaunchEnvironment> read_launch_environment(const VariableLookup& lookup) {
  for (const Launcher& launcher : launchers) {
    const std::optional<int> rank = read_number(lookup, launcher.rank),
                             size = read_number(lookup, launcher.size);
    // Hydra and PMI name the rank alike.
    if (std::string_view(launcher.name) == "Hydra" && !read_number(lookup, launcher.local_rank)) continue;
    if (rank && size)
      return LaunchEnvironment{
          launcher.name,
          {*rank, *size, read_number(lookup, launcher.local_rank), read_number(lookup, launcher.local_size),
           read_number(lookup, launcher.nodes)}};
  }
  return std::nullopt;
}

std::optional<int> read_local_rank(const VariableLookup& lookup) {
  // Innermost launcher first; srun's variable is also set in a batch script, whose one process is number 0.
  for (const char* name : {"OMPI_COMM_WORLD_LOCAL_RANK", "PALS_LOCAL_RANKID", "MPI_LOCALRANKID",
                           "MV2_COMM_WORLD_LOCAL_RANK", "PMI_LOCAL_RANK", "SLURM_LOCALID"})
    if (const std::optional<int> number = read_number(lookup, name)) return number;
  return std::nullopt;
}

// srun says it for all nodes at once: "4(x2)" for two nodes of four, "4,3" for unequal ones.
std::optional<int> read_local_size(const VariableLookup& lookup) {
  for (const char* name :
       {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_LOCAL_SIZE", "PMI_LOCAL_SIZE"})
    if (const std::optional<int> number = read_number(lookup, name)) return number;
  const std::optional<std::string> tasks = lookup("SLURM_STEP_TASKS_PER_NODE");
  if (!tasks || tasks->find(',') != std::string::npos) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(tasks->data(), tasks->data() + tasks->size(), number);
  if (error != std::errc() || number < 1) return std::nullopt;
  return number;
}

int read_restarts(const VariableLookup& lookup) {
  for (const char* name : {"SLURM_RESTART_COUNT", "COLA_RESTARTS"})
    if (const std::optional<int> number = read_number(lookup, name)) return *number;
  return 0;
}

std::string find_launch_problem(const LaunchEnvironment& environment, const Placement& mpi,
                                const std::string& slurm_command) {
  const Placement& meant = environment.placement;
  if (mpi.size == 1 && meant.size > 1) {
    return fmt::format(
        "{} started {} processes but MPI connects none of them: start it with {}", environment.launcher,
        meant.size,
        environment.launcher == "Slurm" ? slurm_command : "the launcher of the MPI it was built with");
  }
  if (meant.rank == mpi.rank && meant.size == mpi.size && !differ(meant.local_rank, mpi.local_rank) &&
      !differ(meant.local_size, mpi.local_size) && !differ(meant.nodes, mpi.nodes))
    return "";
  if (differ(meant.nodes, mpi.nodes))
    return fmt::format(
        "{} started the ranks on {} nodes but MPI finds {}: nodes need hostnames of their own, and "
        "containers "
        "on one node need one shared memory",
        environment.launcher, *meant.nodes, *mpi.nodes);
  return fmt::format("{} says this is {} but MPI says {}: check how the job is launched",
                     environment.launcher, describe(meant), describe(mpi));
}

std::optional<Allocation> find_allocation(
    const VariableLookup& lookup,
    const std::function<std::vector<std::string>(const std::string&)>& lines_of) {
  if (const std::optional<int> nodes = read_number(lookup, "SLURM_JOB_NUM_NODES"))
    return Allocation{"Slurm", *nodes};
  const std::optional<std::string> file = lookup("PBS_NODEFILE");
  if (!file) return std::nullopt;
  const std::vector<std::string> lines = lines_of(*file);
  const std::set<std::string> hosts(lines.begin(), lines.end());
  if (hosts.empty()) return std::nullopt;
  return Allocation{"PBS", static_cast<int>(hosts.size())};
}

std::vector<std::string> lines_of_file(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (!line.empty()) lines.push_back(line);
  return lines;
}

std::string find_allocation_problem(const Allocation& allocation, int nodes_of_mpi) {
  if (nodes_of_mpi >= allocation.nodes) return "";
  const char* cure = allocation.scheduler == "Slurm"
                         ? "start it with srun, or give mpirun the hosts of the job"
                         : "give mpiexec `--hostfile $PBS_NODEFILE`";
  return fmt::format("{} gave the job {} nodes but MPI's ranks run on {}: {}", allocation.scheduler,
                     allocation.nodes, nodes_of_mpi, cure);
}

}  // namespace cola
