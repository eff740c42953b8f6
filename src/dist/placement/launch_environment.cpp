#include "dist/placement/launch_environment.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace cola {

namespace {

constexpr const char* unsaid = nullptr;

// The variables that tell a process what a launcher says.
struct Launcher {
  const char* name;
  const char* rank = unsaid;
  const char* size = unsaid;
  const char* local_rank = unsaid;
  const char* local_size = unsaid;
  const char* nodes = unsaid;
  bool sizes_are_pmis = false;       // its only words on them are those of PMI
  bool known_by_local_rank = false;  // another launcher names the rank alike
};

// Innermost first: mpirun may run inside a Slurm step, and PALS sets the variables of PMI too. MVAPICH counts
// as PMI, but for a process's place on its node, of which it has words of its own. srun sets
// SLURM_STEP_NUM_TASKS for its tasks; a batch script has only SLURM_NTASKS, and is one process, number 0 of
// its node.
constexpr std::array launchers{
    Launcher{.name = "Open MPI's mpirun",
             .rank = "OMPI_COMM_WORLD_RANK",
             .size = "OMPI_COMM_WORLD_SIZE",
             .local_rank = "OMPI_COMM_WORLD_LOCAL_RANK",
             .local_size = "OMPI_COMM_WORLD_LOCAL_SIZE"},
    Launcher{.name = "PALS",
             .rank = "PALS_RANKID",
             .size = "PMI_SIZE",
             .local_rank = "PALS_LOCAL_RANKID",
             .local_size = "PMI_LOCAL_SIZE",
             .sizes_are_pmis = true},
    Launcher{.name = "Hydra",
             .rank = "PMI_RANK",
             .size = "PMI_SIZE",
             .local_rank = "MPI_LOCALRANKID",
             .local_size = "MPI_LOCALNRANKS",
             .known_by_local_rank = true},
    Launcher{.name = "MVAPICH",
             .local_rank = "MV2_COMM_WORLD_LOCAL_RANK",
             .local_size = "MV2_COMM_WORLD_LOCAL_SIZE"},
    Launcher{.name = "PMI",
             .rank = "PMI_RANK",
             .size = "PMI_SIZE",
             .local_rank = "PMI_LOCAL_RANK",
             .local_size = "PMI_LOCAL_SIZE"},
    Launcher{.name = "Slurm",
             .rank = "SLURM_PROCID",
             .size = "SLURM_STEP_NUM_TASKS",
             .local_rank = "SLURM_LOCALID",
             .nodes = "SLURM_STEP_NUM_NODES"},
};

std::optional<int> read_said(const VariableLookup& lookup, const char* name) {
  return name == unsaid ? std::nullopt : read_number(lookup, name);
}

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

std::optional<LaunchEnvironment> read_launch_environment(const VariableLookup& lookup) {
  for (const Launcher& launcher : launchers) {
    const std::optional<int> rank = read_said(lookup, launcher.rank), size = read_said(lookup, launcher.size);
    if (!rank || !size) continue;
    const std::optional<int> local_rank = read_said(lookup, launcher.local_rank);
    if (launcher.known_by_local_rank && !local_rank) continue;
    return LaunchEnvironment{launcher.name,
                             {*rank, *size, local_rank, read_said(lookup, launcher.local_size),
                              read_said(lookup, launcher.nodes)}};
  }
  return std::nullopt;
}

std::optional<int> read_local_rank(const VariableLookup& lookup) {
  for (const Launcher& launcher : launchers)
    if (const std::optional<int> number = read_said(lookup, launcher.local_rank)) return number;
  return std::nullopt;
}

// srun says it for all nodes at once: "4(x2)" for two nodes of four, "4,3" for unequal ones.
std::optional<int> read_local_size(const VariableLookup& lookup) {
  for (const Launcher& launcher : launchers) {
    if (launcher.sizes_are_pmis) continue;  // PMI's turn comes
    if (const std::optional<int> number = read_said(lookup, launcher.local_size)) return number;
  }
  const std::optional<std::string> tasks = lookup("SLURM_STEP_TASKS_PER_NODE");
  if (!tasks || tasks->find(',') != std::string::npos) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(tasks->data(), tasks->data() + tasks->size(), number);
  if (error != std::errc() || number < 1) return std::nullopt;
  return number;
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
        "containers on one node need one shared memory",
        environment.launcher, *meant.nodes, *mpi.nodes);
  return fmt::format("{} says this is {} but MPI says {}: check how the job is launched",
                     environment.launcher, describe(meant), describe(mpi));
}

}  // namespace cola
