#include "dist/placement/launch_environment.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/made_up_variables.h"

namespace cola {
namespace {

std::optional<LaunchEnvironment> read(const Variables& variables) {
  return read_launch_environment(made_up(variables));
}

void expect_placement(const Variables& variables, const std::string& launcher, int rank, int size,
                      std::optional<int> local_rank) {
  const auto environment = read(variables);
  ASSERT_TRUE(environment) << launcher;
  EXPECT_EQ(environment->launcher, launcher);
  EXPECT_EQ(environment->placement.rank, rank);
  EXPECT_EQ(environment->placement.size, size);
  EXPECT_EQ(environment->placement.local_rank, local_rank);
}

const Variables slurm_step{
    {"SLURM_PROCID", "5"}, {"SLURM_NTASKS", "8"}, {"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_LOCALID", "1"}};

TEST(LaunchEnvironment, IsNothingWithoutALauncher) {
  EXPECT_FALSE(read({}));
  EXPECT_FALSE(read({{"PATH", "/bin"}, {"PMI_RANK", "3"}}));  // a rank without a size says too little
}

TEST(LaunchEnvironment, ReadsEachLauncher) {
  expect_placement(slurm_step, "Slurm", 5, 8, 1);
  expect_placement(
      {{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "0"}},
      "Open MPI's mpirun", 2, 4, 0);
  expect_placement({{"PMI_RANK", "1"}, {"PMI_SIZE", "3"}}, "PMI", 1, 3, std::nullopt);
  expect_placement({{"PMI_RANK", "1"}, {"PMI_SIZE", "3"}, {"PMI_LOCAL_RANK", "1"}}, "PMI", 1, 3, 1);
}

TEST(LaunchEnvironment, ReadsWhatElseALauncherSays) {
  Variables variables = slurm_step;
  variables["SLURM_STEP_NUM_NODES"] = "4";
  EXPECT_EQ(read(variables)->placement.nodes, 4);
  EXPECT_EQ(
      read(
          {{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}})
          ->placement.local_size,
      2);
  expect_placement({{"PMI_RANK", "1"}, {"PMI_SIZE", "3"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "3"}},
                   "Hydra", 1, 3, 1);
}

// Polaris: PALS names the rank, and PMI the size.
TEST(LaunchEnvironment, ReadsPalsTogetherWithPmi) {
  const Variables variables{{"PALS_RANKID", "6"},
                            {"PALS_LOCAL_RANKID", "2"},
                            {"PMI_RANK", "6"},
                            {"PMI_SIZE", "8"},
                            {"PMI_LOCAL_RANK", "2"}};
  expect_placement(variables, "PALS", 6, 8, 2);
}

TEST(LaunchEnvironment, TakesTheInnermostLauncher) {
  Variables variables = slurm_step;
  variables.insert({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}});
  expect_placement(variables, "Open MPI's mpirun", 0, 2, std::nullopt);
}

// A batch script's own process is no srun task, whatever number of tasks the job asked for.
TEST(LaunchEnvironment, IgnoresABatchScript) {
  EXPECT_FALSE(
      read({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "0"}, {"SLURM_JOB_ID", "12"}}));
}

TEST(LocalRank, IsTheInnermostLaunchersWord) {
  const auto local_rank = [](const Variables& set) { return read_local_rank(made_up(set)); };
  EXPECT_EQ(local_rank({{"PATH", "/bin"}}), std::nullopt);
  EXPECT_EQ(local_rank(slurm_step), 1);
  for (const char* name : {"OMPI_COMM_WORLD_LOCAL_RANK", "PALS_LOCAL_RANKID", "MPI_LOCALRANKID",
                           "MV2_COMM_WORLD_LOCAL_RANK", "PMI_LOCAL_RANK"}) {
    EXPECT_EQ(local_rank({{name, "3"}}), 3) << name;
    EXPECT_EQ(local_rank({{name, "3"}, {"SLURM_LOCALID", "0"}}), 3) << name;
  }
  EXPECT_THROW(local_rank({{"SLURM_LOCALID", "first"}}), UsageError);
}

TEST(LocalSize, IsTheInnermostLaunchersWord) {
  const auto local_size = [](const Variables& set) { return read_local_size(made_up(set)); };
  EXPECT_EQ(local_size({{"SLURM_TASKS_PER_NODE", "4"}}), std::nullopt);  // a batch script's
  for (const char* name :
       {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_LOCAL_SIZE", "PMI_LOCAL_SIZE"})
    EXPECT_EQ(local_size({{name, "3"}, {"SLURM_STEP_TASKS_PER_NODE", "1"}}), 3) << name;
  EXPECT_EQ(local_size({{"MPI_LOCALNRANKS", "2"}, {"PMI_LOCAL_SIZE", "4"}}), 2);
  EXPECT_EQ(local_size({{"SLURM_STEP_TASKS_PER_NODE", "4"}}), 4);
  EXPECT_EQ(local_size({{"SLURM_STEP_TASKS_PER_NODE", "4(x12)"}}), 4);
  EXPECT_EQ(local_size({{"SLURM_STEP_TASKS_PER_NODE", "4(x2),3"}}), std::nullopt);
  EXPECT_EQ(local_size({{"SLURM_STEP_TASKS_PER_NODE", "many"}}), std::nullopt);
  EXPECT_THROW(local_size({{"PMI_LOCAL_SIZE", "many"}}), UsageError);
}

TEST(LaunchEnvironment, TakesAnEmptyVariableForNone) {
  EXPECT_FALSE(read({{"SLURM_PROCID", ""}, {"SLURM_STEP_NUM_TASKS", "8"}}));
  EXPECT_FALSE(read({{"PMI_RANK", "1"}, {"PMI_SIZE", ""}}));
  expect_placement({{"PMI_RANK", "1"}, {"PMI_SIZE", "3"}, {"MPI_LOCALRANKID", ""}}, "PMI", 1, 3,
                   std::nullopt);
}

TEST(LaunchEnvironment, RejectsWhatIsNoNumber) {
  for (const std::string text : {"two", "3x", "-1", "99999999999"}) {
    Variables variables = slurm_step;
    variables["SLURM_PROCID"] = text;
    try {
      read(variables);
      ADD_FAILURE() << "accepted '" << text << "'";
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find("SLURM_PROCID"), std::string::npos);
    }
  }
}

std::string problem_of(const LaunchEnvironment& environment, const Placement& mpi) {
  return find_launch_problem(environment, mpi, "srun --mpi=pmi2");
}

TEST(LaunchProblem, IsNoneWhereMpiAgrees) {
  EXPECT_EQ(problem_of({"Slurm", {5, 8, 1}}, {5, 8, 1}), "");
  EXPECT_EQ(problem_of({"PMI", {5, 8, std::nullopt}}, {5, 8, 1}), "");
  EXPECT_EQ(problem_of({"Slurm", {0, 1, 0}}, {0, 1, 0}), "");
}

TEST(LaunchProblem, NamesTheCureForUnconnectedSlurmTasks) {
  const std::string problem = problem_of({"Slurm", {5, 8, 1}}, {0, 1, 0});
  EXPECT_NE(problem.find("start it with srun --mpi=pmi2"), std::string::npos) << problem;
  EXPECT_NE(problem.find("8 processes"), std::string::npos) << problem;
  const std::string other = problem_of({"PMI", {1, 4, 1}}, {0, 1, 0});
  EXPECT_EQ(other.find("srun"), std::string::npos) << other;
}

TEST(LaunchProblem, NamesBothViewsWhereTheyDiffer) {
  for (const Placement mpi :
       {Placement{4, 8, 1}, Placement{5, 9, 1}, Placement{5, 8, 0}, Placement{5, 8, 1, 3}}) {
    const std::string problem = problem_of({"Slurm", {5, 8, 1, 2}}, mpi);
    EXPECT_NE(problem.find("Slurm says this is rank 5 of 8 (number 1 on its node)"), std::string::npos)
        << problem;
    EXPECT_EQ(problem.find('\n'), std::string::npos);
  }
}

TEST(LaunchProblem, NamesNodesThatMpiDoesNotTellApart) {
  const Placement meant{5, 8, 1, std::nullopt, 2}, found{5, 8, 1, 8, 1};
  const std::string problem = problem_of({"Slurm", meant}, found);
  EXPECT_NE(problem.find("on 2 nodes but MPI finds 1: nodes need hostnames"), std::string::npos) << problem;
}

}  // namespace
}  // namespace cola
