#include "dist/launch.h"

#include <mpi.h>

#include <exception>

#include "core/error.h"
#include "dist/launch_environment.h"
#include "dist/mpi_communicator.h"
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

std::string read_host_name() {
  char name[MPI_MAX_PROCESSOR_NAME] = {};
  int length = 0;
  check_mpi(MPI_Get_processor_name(name, &length), "MPI_Get_processor_name");
  return std::string(name, static_cast<std::size_t>(length));
}

struct NodePlace {
  int rank = 0, size = 1;
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
  check_mpi(MPI_Comm_free(&node), "MPI_Comm_free");
  return place;
}

// Every rank learns of a problem on any rank, so that all stop together.
void check_launch(const std::optional<LaunchEnvironment>& environment, Communicator& world, int local_rank) {
  const Placement mpi{world.rank(), world.size(), local_rank};
  for (const std::string& problem :
       world.all_gather(environment ? find_launch_problem(*environment, mpi) : ""))
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
    const NodePlace place = find_node_place();
    local_rank_ = place.rank;
    local_size_ = place.size;
    host_ = read_host_name();
    check_launch(environment, *world_, local_rank_);
  } catch (...) {
    world_.reset();
    MPI_Finalize();
    throw;
  }
}

MpiSession::~MpiSession() {
  if (std::uncaught_exceptions() > exceptions_at_start_ && world_->size() > 1) world_->abort(exit_failed);
  world_.reset();
  const Watchdog::Inside inside(watchdog_, "the end of MPI");
  MPI_Finalize();
}

}  // namespace cola
