#include "dist/placement/job_allocation.h"

#include <gtest/gtest.h>

#include "support/made_up_variables.h"

namespace cola {
namespace {

std::optional<Allocation> allocation(const Variables& variables, const std::vector<std::string>& node_file) {
  return find_allocation(made_up(variables), [&](const std::string&) { return node_file; });
}

TEST(JobAllocation, IsWhatTheSchedulerGave) {
  EXPECT_FALSE(allocation({}, {}));
  EXPECT_EQ(allocation({{"SLURM_JOB_NUM_NODES", "3"}}, {})->nodes, 3);
  // PBS names a host once for each rank.
  const auto pbs = allocation({{"PBS_NODEFILE", "/var/spool/nodes"}}, {"x1", "x1", "x2", "x2"});
  ASSERT_TRUE(pbs);
  EXPECT_EQ(pbs->scheduler, "PBS");
  EXPECT_EQ(pbs->nodes, 2);
  EXPECT_FALSE(allocation({{"PBS_NODEFILE", "/gone"}}, {}));
}

TEST(JobAllocation, MustNotLieIdle) {
  EXPECT_EQ(find_allocation_problem({"Slurm", 2}, 2), "");
  EXPECT_NE(
      find_allocation_problem({"Slurm", 2}, 1).find("Slurm gave the job 2 nodes but MPI's ranks run on 1"),
      std::string::npos);
  EXPECT_NE(find_allocation_problem({"PBS", 4}, 1).find("--hostfile $PBS_NODEFILE"), std::string::npos);
}

TEST(JobAllocation, CountsTheSchedulersRestarts) {
  const auto restarts = [](const Variables& set) { return read_restarts(made_up(set)); };
  EXPECT_EQ(restarts({}), 0);
  EXPECT_EQ(restarts({{"SLURM_RESTART_COUNT", "2"}}), 2);
  EXPECT_EQ(restarts({{"COLA_RESTARTS", "7"}}), 7);
}

}  // namespace
}  // namespace cola
