// NCCL in a build without it: there is none, and asking for it says so.
#include "core/error.h"
#include "dist/nccl_communicator.h"

namespace cola {

std::string nccl_version() {
  return {};
}

std::string find_nccl_obstacle(Device&, Communicator&) {
  return "this program was built without NCCL";
}

std::unique_ptr<Communicator> make_nccl_communicator(Device& device, Communicator& host, Watchdog&) {
  throw UsageError("{}: set parallel.collectives: mpi", find_nccl_obstacle(device, host));
}

}  // namespace cola
