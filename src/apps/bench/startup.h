// cola_bench startup: what a run does before its first step, phase by phase, without what depends on its run
// directory and checkpoints.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "dist/mpi_session.h"

namespace cola {

/// Prints a table of phases on rank 0: the slowest rank's seconds of each, and their share of the whole.
/// `begun` is when main was entered. Collective. Throws as the phases do.
void bench_startup(const std::string& configuration_file, const std::vector<std::string>& settings,
                   MpiSession& session, std::chrono::steady_clock::time_point begun);

}  // namespace cola
