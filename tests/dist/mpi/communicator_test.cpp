#include <gtest/gtest.h>

#include <cstdlib>

#include "dist/collective_checks.h"
#include "dist/mpi/world.h"
#include "dist/mpi_communicator.h"

namespace cola {
namespace {

TEST(MpiCommunicator, ComputesWhatPlainSumsSay) {
  testing::check_collectives(testing::session().world());
}

// The same with a limit so low that every message of some length is cut into pieces.
TEST(MpiCommunicator, CutsLongMessagesIntoPieces) {
  const auto world = make_mpi_world(5);
  testing::check_blocking_collectives(*world);
  testing::check_texts(*world);
  for (const std::size_t chunk : {1u, 4u, 17u}) testing::check_pending_collectives(*world, chunk);
  testing::check_split(*world);
}

TEST(MpiCommunicator, NamesItsLibrary) {
  const std::string transport = testing::session().world().transport();
  EXPECT_EQ(transport.rfind("MPI (", 0), 0u) << transport;
  EXPECT_GT(transport.size(), 7u);
  // Where it is Open MPI, one of its three ways to send is in use, and named.
  if (transport.starts_with("MPI (Open MPI")) {
    EXPECT_TRUE(transport.find(", ob1 over ") != std::string::npos || transport.ends_with(", ucx)") ||
                transport.find(", cm over ") != std::string::npos)
        << transport;
  }
}

TEST(MpiCommunicator, TurnsErrorsIntoOneLine) {
  std::vector<std::byte> bytes(4);
  try {
    testing::session().world().broadcast(bytes, 1000);
    FAIL() << "a broadcast from rank 1000 went through";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("MPI_Bcast failed"), std::string::npos) << error.what();
  }
}

// A collective that is dropped is waited for, so that its memory may go.
TEST(MpiCommunicator, WaitsForADroppedCollective) {
  Communicator& world = testing::session().world();
  std::vector<float> values = testing::small_numbers(world.rank(), 3000);
  { const auto dropped = world.start_all_reduce(values); }
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], testing::plain_sum(world.size(), i));
}

TEST(MpiSession, KnowsTheJobAndTheNode) {
  MpiSession& session = testing::session();
  const char* expected = std::getenv("COLA_EXPECTED_RANKS");
  EXPECT_EQ(session.world().size(), expected ? std::atoi(expected) : session.world().size());
  EXPECT_FALSE(session.host().empty());
  EXPECT_GE(session.local_rank(), 0);
  EXPECT_LT(session.local_rank(), session.local_size());
  EXPECT_LE(session.local_size(), session.world().size());
  // Each local rank occurs once on each host.
  const auto places = session.world().all_gather(session.host() + " " + std::to_string(session.local_rank()));
  for (std::size_t i = 0; i < places.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(places[i], places[j]);
}

}  // namespace
}  // namespace cola
