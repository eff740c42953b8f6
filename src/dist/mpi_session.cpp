#include "dist/mpi_session.h"

#include <mpi.h>

#include <cstdlib>
#include <exception>
#include <iterator>
#include <set>

#include "core/error.h"
#include "core/host.h"
#include "core/log.h"
#include "dist/mpi_communicator.h"
#include "dist/mpi_library.h"
#include "dist/placement/launch_environment.h"
#include "dist/watched_communicator.h"

namespace cola {

namespace {

void start_mpi(int& argument_count, char**& arguments) {
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(&argument_count, &arguments, MPI_THREAD_SERIALIZED, &provided),
            "MPI_Init_thread");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (provided < MPI_THREAD_SERIALIZED)
    throw Error("this MPI library cannot be called from more than one thread (MPI_THREAD_SERIALIZED)");
}

struct NodePlace {
  int rank = 0, size = 1;
  int node = 0, nodes = 1;
};

NodePlace find_node_place() {
  MPI_Comm node = MPI_COMM_NULL;
  NodePlace place;
  int world_rank = 0;
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &world_rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world_rank, MPI_INFO_NULL, &node),
            "MPI_Comm_split_type");
  check_mpi(MPI_Comm_rank(node, &place.rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(node, &place.size), "MPI_Comm_size");
  // A node is known by the world rank of its first rank.
  place.node = world_rank;
  check_mpi(MPI_Bcast(&place.node, 1, MPI_INT, 0, node), "MPI_Bcast");
  check_mpi(MPI_Comm_free(&node), "MPI_Comm_free");
  return place;
}

// Numbers the nodes from 0 in the order of their first ranks.
void number_nodes(NodePlace& place, Communicator& world) {
  std::set<int> first_ranks;
  for (const std::string& first : world.all_gather(std::to_string(place.node)))
    first_ranks.insert(std::stoi(first));
  place.node = static_cast<int>(std::distance(first_ranks.begin(), first_ranks.find(place.node)));
  place.nodes = static_cast<int>(first_ranks.size());
}

// Every rank learns of a problem on any rank, so that all stop together.
void check_launch(const std::optional<LaunchEnvironment>& environment, Communicator& world,
                  const NodePlace& place) {
  const Placement mpi{world.rank(), world.size(), place.rank, place.size, place.nodes};
  for (const std::string& problem : world.all_gather(
           environment ? find_launch_problem(*environment, mpi, slurm_launch_command(mpi_version())) : ""))
    if (!problem.empty()) throw UsageError("{}", problem);
}

}  // namespace

MpiSession::MpiSession(int& argument_count, char**& arguments)
    : exceptions_at_start_(std::uncaught_exceptions()), watchdog_([] { abort_mpi_job(exit_failed); }) {
  // Before MPI starts: MPI itself may set variables.
  const std::optional<LaunchEnvironment> environment = read_launch_environment(environment_variable);
  start_mpi(argument_count, arguments);
  try {
    world_ = make_watched_communicator(make_mpi_world(), watchdog_);
    NodePlace place = find_node_place();
    number_nodes(place, *world_);
    local_rank_ = place.rank;
    local_size_ = place.size;
    node_ = place.node;
    nodes_ = place.nodes;
    host_ = host_name();
    if (environment) launcher_ = environment->launcher;
    check_launch(environment, *world_, place);
  } catch (const UsageError&) {  // all ranks have it
    world_.reset();
    MPI_Finalize();
    throw;
  } catch (const std::exception& error) {  // of this rank alone: MPI's end would wait for the others
    log_error(error.what());
    abort_mpi_job(exit_failed);
  }
}

MpiSession::~MpiSession() {
  if (std::uncaught_exceptions() > exceptions_at_start_ && world_->size() > 1) world_->abort(exit_failed);
  world_.reset();
  const Watchdog::Inside inside(watchdog_, "the end of MPI");
  MPI_Finalize();
}

}  // namespace cola
