// LaunchEnvironment: what a launcher told this process through environment variables. MPI itself is trusted
// for ranks; the variables say what was meant, so that a job started with the wrong launcher fails at once
// instead of running as many jobs of one rank. Pure functions: the caller says where variables come from.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace cola {

/// The value of an environment variable, or nothing.
using VariableLookup = std::function<std::optional<std::string>(const std::string& name)>;

/// This process's own environment.
std::optional<std::string> environment_variable(const std::string& name);

/// A variable's value as a number from 0; nothing if it is not set, or empty. Throws UsageError for another.
std::optional<int> read_number(const VariableLookup& lookup, const char* name);

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
/// launchers, then srun. A variable of a
/// Slurm batch script that is no srun step counts for nothing. Nothing without a launcher. Throws UsageError
/// for a value that is no number.
std::optional<LaunchEnvironment> read_launch_environment(const VariableLookup& lookup);

/// This process's number among those of its node as a launcher's variable says, before MPI can be asked.
/// Nothing where none does. Throws UsageError for a value that is no number.
std::optional<int> read_local_rank(const VariableLookup& lookup);

/// The number of processes on its node likewise. Nothing where no launcher says it, or, for Slurm, where
/// nodes have unequal numbers.
std::optional<int> read_local_size(const VariableLookup& lookup);

/// How often the scheduler has started this job again: Slurm's word, or that of the PBS jobs' script; 0
/// without one. Throws UsageError for a value that is no number.
int read_restarts(const VariableLookup& lookup);

/// One line on how MPI's view differs from the launcher's, and the cure; empty when they agree.
/// `slurm_command`: how this MPI is started under Slurm, as of slurm_launch_command.
std::string find_launch_problem(const LaunchEnvironment& environment, const Placement& mpi,
                                const std::string& slurm_command);

/// The nodes that Slurm or PBS gave the job, and the scheduler's name; nothing outside of a job. `lines_of`
/// reads a file, here PBS_NODEFILE, which names a host once or many times; no lines if it cannot be read.
struct Allocation {
  std::string scheduler;
  int nodes = 0;
};
std::optional<Allocation> find_allocation(
    const VariableLookup& lookup,
    const std::function<std::vector<std::string>(const std::string&)>& lines_of);
/// The lines of a real file.
std::vector<std::string> lines_of_file(const std::string& path);

/// One line with its cure if the job has more nodes than MPI's ranks run on; empty otherwise.
std::string find_allocation_problem(const Allocation& allocation, int nodes_of_mpi);

}  // namespace cola
