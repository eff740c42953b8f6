#include "apps/common/start_report.h"

#include <optional>
#include <vector>

#include "core/gpu_facts.h"
#include "core/log.h"
#include "core/text.h"
#include "core/version.h"
#include "dist/nccl_communicator.h"
#include "dist/placement/job_allocation.h"
#include "dist/placement/network_binding.h"
#include "io/files/hdf5_file.h"

namespace cola {

namespace {

std::string describe_gpu_libraries() {
  const std::string nccl = nccl_version();
  return describe_cuda() + (nccl.empty() ? ", no NCCL" : ", NCCL " + nccl);
}

}  // namespace

void report_layout(const std::string& program, MpiSession& session, const RankPlace& mine) {
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
