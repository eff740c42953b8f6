// What the scheduler says of the job through environment variables: its nodes, and how often it was started.
// Pure functions: the caller says where variables and files come from.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dist/placement/environment_variables.h"

namespace cola {

/// The nodes that a scheduler, "Slurm" or "PBS", gave the job.
struct Allocation {
  std::string scheduler;
  int nodes = 0;
};

/// Slurm's or PBS's word; nothing outside of a job. `lines_of` reads a file, here PBS_NODEFILE, which names a
/// host once or many times; no lines if it cannot be read. Throws UsageError for a value that is no number.
std::optional<Allocation> find_allocation(
    const VariableLookup& lookup,
    const std::function<std::vector<std::string>(const std::string&)>& lines_of);

/// One line with its cure if the job has more nodes than MPI's ranks run on; empty otherwise.
std::string find_allocation_problem(const Allocation& allocation, int nodes_of_mpi);

/// How often the scheduler has started this job again: Slurm's word, or that of the PBS jobs' script; 0
/// without one. Throws UsageError for a value that is no number.
int read_restarts(const VariableLookup& lookup);

}  // namespace cola
