#include "dist/launch_environment.h"

#include <array>
#include <charconv>
#include <cstdlib>

#include "core/error.h"

namespace cola {

namespace {

struct Launcher {
  const char* name;
  const char* rank;
  const char* size;
  const char* local_rank;
};

// Innermost first: mpirun may run inside a Slurm step, and PALS sets the variables of PMI too (PMI_SIZE is
// its only word on the number of ranks). srun sets SLURM_STEP_NUM_TASKS for its tasks; a batch script has
// only SLURM_NTASKS, and is one process.
constexpr std::array launchers{
    Launcher{"Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
             "OMPI_COMM_WORLD_LOCAL_RANK"},
    Launcher{"PALS", "PALS_RANKID", "PMI_SIZE", "PALS_LOCAL_RANKID"},
    Launcher{"PMI", "PMI_RANK", "PMI_SIZE", "PMI_LOCAL_RANK"},
    Launcher{"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"},
};

std::optional<int> read_number(const VariableLookup& lookup, const char* name) {
  const std::optional<std::string> text = lookup(name);
  if (!text) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number < 0)
    throw UsageError("environment variable {} is '{}', not a number", name, *text);
  return number;
}

std::string describe(const Placement& placement) {
  std::string text = fmt::format("rank {} of {}", placement.rank, placement.size);
  if (placement.local_rank) text += fmt::format(" (number {} on its node)", *placement.local_rank);
  return text;
}

}  // namespace

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

std::optional<LaunchEnvironment> read_launch_environment(const VariableLookup& lookup) {
  for (const Launcher& launcher : launchers) {
    const std::optional<int> rank = read_number(lookup, launcher.rank),
                             size = read_number(lookup, launcher.size);
    if (rank && size)
      return LaunchEnvironment{launcher.name, {*rank, *size, read_number(lookup, launcher.local_rank)}};
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

std::string find_launch_problem(const LaunchEnvironment& environment, const Placement& mpi) {
  const Placement& meant = environment.placement;
  if (mpi.size == 1 && meant.size > 1) {
    const char* cure = environment.launcher == "Slurm"
                           ? "start it with `srun --mpi=pmix`"
                           : "start it with the launcher of the MPI it was built with";
    return fmt::format("{} started {} processes but MPI connects none of them: {}", environment.launcher,
                       meant.size, cure);
  }
  const bool same_local = !meant.local_rank || !mpi.local_rank || *meant.local_rank == *mpi.local_rank;
  if (meant.rank == mpi.rank && meant.size == mpi.size && same_local) return "";
  return fmt::format("{} says this is {} but MPI says {}: check how the job is launched",
                     environment.launcher, describe(meant), describe(mpi));
}

}  // namespace cola
