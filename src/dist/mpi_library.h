// MpiLibrary: which MPI runs here, and over what it sends.
#pragma once

#include <functional>
#include <string>

namespace cola {

/// "Open MPI v4.1.4, ob1 over vader, tcp": the library, and what carries its messages as far as it lets on.
/// To be called between the start and the end of MPI.
std::string describe_mpi();

/// The same from what MPI says of itself: `version` as of MPI_Get_library_version, and whether one of its
/// control variables exists. Open MPI lets go of those of the components that it does not use; MPICH names
/// its device in its version.
std::string describe_mpi(const std::string& version,
                         const std::function<bool(const std::string& variable)>& has_variable);

}  // namespace cola
