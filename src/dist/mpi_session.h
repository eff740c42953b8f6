// MpiSession: how a process comes to be a rank. MPI is initialised here and nowhere else.
#pragma once

#include <memory>
#include <string>

#include "dist/communicator.h"
#include "dist/watchdog.h"

namespace cola {

/// MPI from start to end of the program. Without a launcher it is one rank. Where ranks share cores, Open
/// MPI's OMPI_MCA_mpi_yield_when_idle=1 keeps waiting ranks from taking time from working ones.
class MpiSession {
 public:
  /// Initialises MPI. Throws UsageError, on all ranks, if the launcher's variables contradict MPI. Another
  /// failure of MPI ends the job.
  MpiSession(int& argument_count, char**& arguments);
  /// Finalises MPI. A program catches its errors while the session lives, reports them, and calls
  /// world().abort(code): an exception that passes through here on one of many ranks ends the job with
  /// exit_failed, for finalising would wait for ranks that wait for this one.
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  /// All ranks of the job, on host memory.
  Communicator& world() { return *world_; }
  /// Looks at the collectives of world() and its parts once it is started.
  Watchdog& watchdog() { return watchdog_; }
  /// This rank among those of its node, and their number: from shared memory, not from environment variables.
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }
  /// This rank's node, counted in the order of the nodes' first ranks, and the number of nodes.
  int node() const { return node_; }
  int nodes() const { return nodes_; }
  const std::string& host() const { return host_; }
  /// "Slurm", "Open MPI's mpirun", ...; empty without a launcher.
  const std::string& launcher() const { return launcher_; }

 private:
  int exceptions_at_start_;
  Watchdog watchdog_;
  std::unique_ptr<Communicator> world_;
  int local_rank_ = 0;
  int local_size_ = 1;
  int node_ = 0, nodes_ = 1;
  std::string host_, launcher_;
};

}  // namespace cola
