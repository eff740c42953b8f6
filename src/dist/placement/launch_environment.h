// LaunchEnvironment: what a launcher told this process through environment variables. MPI itself is trusted
// for ranks; the variables say what was meant, so that a job started with the wrong launcher fails at once
// instead of running as many jobs of one rank. Pure functions: the caller says where variables come from.
#pragma once

#include <optional>
#include <string>

#include "dist/placement/environment_variables.h"

namespace cola {

/// Where a process stands in its job. Not every launcher says all of it.
struct Placement {
  int rank = 0, size = 1;
  std::optional<int> local_rank = {}, local_size = {};  // on its node
  std::optional<int> nodes = {};
};

struct LaunchEnvironment {
  std::string launcher;  // "Open MPI's mpirun", "PALS", "Hydra", "PMI" or "Slurm"
  Placement placement;
};

/// The innermost launcher's word: Open MPI's mpirun, PALS, Hydra (of MPICH and Intel MPI), other PMI
/// launchers, then srun. A variable of a Slurm batch script that is no srun step counts for nothing. Nothing
/// without a launcher. Throws UsageError for a value that is no number.
std::optional<LaunchEnvironment> read_launch_environment(const VariableLookup& lookup);

/// This process's number among those of its node as a launcher's variable says, before MPI can be asked.
/// Nothing where none does. Throws UsageError for a value that is no number.
std::optional<int> read_local_rank(const VariableLookup& lookup);

/// The number of processes on its node likewise. Nothing where no launcher says it, or, for Slurm, where
/// nodes have unequal numbers.
std::optional<int> read_local_size(const VariableLookup& lookup);

/// One line on how MPI's view differs from the launcher's, and the cure; empty when they agree.
/// `slurm_command`: how this MPI is started under Slurm, as of slurm_launch_command.
std::string find_launch_problem(const LaunchEnvironment& environment, const Placement& mpi,
                                const std::string& slurm_command);

}  // namespace cola
