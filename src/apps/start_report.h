// Start report: what a job looks like from its first rank, and what will work badly in it.
#pragma once

#include <string>

#include "core/gpu_facts.h"
#include "core/log.h"
#include "core/text.h"
#include "core/version.h"
#include "dist/job_allocation.h"
#include "dist/mpi_session.h"
#include "dist/nccl_communicator.h"
#include "dist/network_binding.h"
#include "dist/node_layout.h"
#include "io/hdf5_file.h"

namespace cola {

inline std::string describe_gpu_libraries() {
  const std::string nccl = nccl_version();
  return describe_cuda() + (nccl.empty() ? ", no NCCL" : ", NCCL " + nccl);
}

/// Says on rank 0 who started the program, where all ranks run and on what; warns of what is wrong with that,
/// with its cure. Collective.
inline void report_layout(const std::string& program, MpiSession& session, const RankPlace& mine) {
  const std::vector<RankPlace> places = gather_places(session.world(), mine);
  if (session.world().rank() != 0) return;
  information("{} {}, {}, HDF5 {}, {}", program, version, session.world().transport(), hdf5_version(),
              session.launcher().empty() ? "without a launcher" : "started by " + session.launcher());
  if (mine.gpu_number >= 0) information("{}", describe_gpu_libraries());
  for (const std::string& line : describe_layout(places)) information("{}", line);
  if (const std::string set = describe_network_variables(environment_variable); !set.empty())
    information("network: {}", set);
  for (const std::string& problem : find_layout_problems(places)) warning("{}", problem);
  const std::optional<Allocation> allocation = find_allocation(environment_variable, lines_of_file);
  if (!allocation) return;
  const std::string problem = find_allocation_problem(*allocation, session.nodes());
  if (!problem.empty()) warning("{}", problem);
}

}  // namespace cola
