// The communicator over MPI. This header is free of mpi.h, so that MPI stays inside src/dist/*.cpp.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>

#include "dist/communicator.h"

namespace cola {

/// Counts of MPI 3 are ints, and some libraries multiply them by the number of ranks in int arithmetic.
constexpr std::int64_t mpi_count_limit = std::numeric_limits<int>::max();

/// All ranks of the job, on a communicator of its own. MPI must be initialised, and be finalised after this
/// is gone. No call passes MPI more than `count_limit` elements over all ranks: larger messages travel in
/// pieces.
std::unique_ptr<Communicator> make_mpi_world(std::int64_t count_limit = mpi_count_limit);

/// Ends the whole job with this exit code, from any one rank and any thread.
[[noreturn]] void abort_mpi_job(int exit_code);

/// Throws Error naming the operation, with MPI's own explanation, unless `result` is MPI_SUCCESS.
void check_mpi(int result, const char* operation);

}  // namespace cola
