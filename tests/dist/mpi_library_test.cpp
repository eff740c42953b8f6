#include "dist/mpi_library.h"

#include <gtest/gtest.h>

#include <set>

namespace cola {
namespace {

std::string described(const std::string& version, const std::set<std::string>& variables) {
  return describe_mpi(version, [&](const std::string& variable) { return variables.contains(variable); });
}

constexpr const char* open_mpi = "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4";

TEST(MpiLibrary, SaysOverWhatOpenMpiSends) {
  EXPECT_EQ(described(open_mpi, {"pml_ob1_priority", "btl_self_eager_limit", "btl_tcp_eager_limit",
                                 "btl_vader_eager_limit", "mtl_ofi_priority"}),
            "Open MPI v4.1.4, ob1 over vader, tcp");
  EXPECT_EQ(
      described("Open MPI v5.0.7, package: Debian OpenMPI, ident: 5.0.7",
                {"pml_ob1_priority", "btl_vader_eager_limit", "btl_sm_eager_limit", "btl_tcp_eager_limit"}),
      "Open MPI v5.0.7, ob1 over sm, tcp");
  EXPECT_EQ(described(open_mpi, {"pml_ucx_priority", "btl_self_eager_limit"}), "Open MPI v4.1.4, ucx");
  EXPECT_EQ(described(open_mpi, {"pml_cm_priority", "mtl_ofi_priority"}), "Open MPI v4.1.4, cm over ofi");
}

TEST(MpiLibrary, SaysOverWhatMpichSends) {
  EXPECT_EQ(described("MPICH Version:      4.0.2\nMPICH Release date: today\nMPICH Device:    ch4:ofi\n", {}),
            "MPICH Version: 4.0.2, ch4:ofi");
}

TEST(MpiLibrary, IsStartedUnderSlurmAsItConnectsItsProcesses) {
  EXPECT_EQ(slurm_launch_command(open_mpi), "srun --mpi=pmix");
  EXPECT_EQ(slurm_launch_command("MPICH Version:      4.0.2\nMPICH Device:    ch4:ofi\n"), "srun --mpi=pmi2");
  EXPECT_EQ(slurm_launch_command("Intel(R) MPI Library 2021.9 for Linux* OS"), "srun --mpi=pmi2");
  EXPECT_EQ(slurm_launch_command("MVAPICH2 Version      :\t2.3.7"), "srun --mpi=pmi2");
  EXPECT_EQ(slurm_launch_command("MPI VERSION    : CRAY MPICH version 8.1.28 (ANL base 3.4a2)"),
            "srun without --mpi=");
  EXPECT_NE(slurm_launch_command("HPE MPT 2.28").find("srun --mpi=list"), std::string::npos);
}

TEST(MpiLibrary, SaysNoMoreThanItKnows) {
  EXPECT_EQ(described("MPI VERSION    : CRAY MPICH version 8.1.28\nMPI BUILD INFO : none\n", {}),
            "MPI VERSION : CRAY MPICH version 8.1.28");
}

}  // namespace
}  // namespace cola
