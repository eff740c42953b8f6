// A job in which rank 1 fails while the others wait for it: `failing_rank report` as programs do, catching
// the error and aborting with its code; `failing_rank unwind` letting it pass through the session;
// `failing_rank staged` while pieces of a tensor are on their way and the others wait for something else.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/error.h"
#include "core/log.h"
#include "dist/mpi_session.h"
#include "dist/staged_communicator.h"

namespace {

void work(cola::Communicator& world) {
  std::vector<float> values(1000, 1.0f);
  const auto pending = world.start_all_reduce(values);
  if (world.rank() == 1) throw cola::Error("the gradient of step {} is not a number", 7);
  world.barrier();
}

void work_staged(cola::Communicator& world) {
  const auto device = cola::make_cpu_device(1);
  const auto communicator = cola::make_staged_communicator(*device, world, 100);
  std::vector<float> values(3000, 1.0f);
  const auto pending = communicator->start_all_reduce(values);
  if (world.rank() == 1) throw cola::Error("the gradient of step {} is not a number", 7);
  communicator->barrier();
}

int run(int argument_count, char** arguments) {
  cola::MpiSession session(argument_count, arguments);
  cola::set_log_identity(session.world().rank(), session.world().size(), session.host());
  const std::string mode = argument_count > 1 ? arguments[1] : "report";
  if (mode == "unwind") {
    work(session.world());
    return 0;
  }
  try {
    mode == "staged" ? work_staged(session.world()) : work(session.world());
  } catch (const std::exception& error) {
    cola::log_error(error.what());
    session.world().abort(43);
  }
  return 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
  try {
    return run(argument_count, arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
