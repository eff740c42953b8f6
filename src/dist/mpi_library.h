// Which MPI runs here, and over what it sends.
#pragma once

#include <functional>
#include <string>

namespace cola {

/// "Open MPI v4.1.4, ob1 over vader, tcp": the library, and what carries its messages as far as it lets on.
/// To be called between the start and the end of MPI.
std::string describe_mpi();

/// What MPI says of itself. Also before MPI starts.
std::string mpi_version();

/// The command that connects this MPI's processes under Slurm: "srun --mpi=pmix" for Open MPI. `version` as
/// of mpi_version.
std::string slurm_launch_command(const std::string& version);

/// As describe_mpi() from what MPI says of itself: `version` as of mpi_version, and whether one of its
/// control variables exists. Open MPI lets go of those of the components that it does not use; MPICH names
/// its device in its version.
std::string describe_mpi(const std::string& version,
                         const std::function<bool(const std::string& variable)>& has_variable);

}  // namespace cola
