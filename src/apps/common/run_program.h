// The main function that all programs share: an error becomes a line on stderr and an exit code.
#pragma once

#include <exception>
#include <functional>
#include <string>

#include "apps/common/early_place.h"
#include "dist/mpi_session.h"
#include "dist/start_guard.h"

namespace cola {

/// The whole main of a program: `body` returns the exit code, an error is said on stderr.
int run_program(const std::string& program, const std::function<int()>& body);

/// What is done on many ranks, inside run_program: `body` gets the MPI session and returns the exit code. An
/// error that all ranks share is said once; one that a single rank meets ends the job, named with rank and
/// host. `guard` is told of the stages until `body`.
int run_on_ranks(int count, char** arguments, const EarlyChoices& choices,
                 const std::function<int(MpiSession&)>& body, StartGuard* guard = nullptr);

}  // namespace cola
