#include "dist/placement/job_allocation.h"

#include <fmt/format.h>

#include <set>

namespace cola {

std::optional<Allocation> find_allocation(
    const VariableLookup& lookup,
    const std::function<std::vector<std::string>(const std::string&)>& lines_of) {
  if (const std::optional<int> nodes = read_number(lookup, "SLURM_JOB_NUM_NODES"))
    return Allocation{"Slurm", *nodes};
  const std::optional<std::string> file = lookup("PBS_NODEFILE");
  if (!file) return std::nullopt;
  const std::vector<std::string> lines = lines_of(*file);
  const std::set<std::string> hosts(lines.begin(), lines.end());
  if (hosts.empty()) return std::nullopt;
  return Allocation{"PBS", static_cast<int>(hosts.size())};
}

std::string find_allocation_problem(const Allocation& allocation, int nodes_of_mpi) {
  if (nodes_of_mpi >= allocation.nodes) return "";
  const char* cure = allocation.scheduler == "Slurm"
                         ? "start it with srun, or give mpirun the hosts of the job"
                         : "give mpiexec `--hostfile $PBS_NODEFILE`";
  return fmt::format("{} gave the job {} nodes but MPI's ranks run on {}: {}", allocation.scheduler,
                     allocation.nodes, nodes_of_mpi, cure);
}

int read_restarts(const VariableLookup& lookup) {
  for (const char* name : {"SLURM_RESTART_COUNT", "COLA_RESTARTS"})
    if (const std::optional<int> number = read_number(lookup, name)) return *number;
  return 0;
}

}  // namespace cola
