// A job in which rank 1 fails while the others wait for it: `failing_rank report` as programs do, catching
// the error and aborting with its code; `failing_rank unwind` letting it pass through the session.
#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "dist/launch.h"

namespace {

void work(cola::Communicator& world) {
  std::vector<float> values(1000, 1.0f);
  const auto pending = world.start_all_reduce(values);
  if (world.rank() == 1) throw cola::Error("the gradient of step {} is not a number", 7);
  world.barrier();
}

int run(int argument_count, char** arguments) {
  cola::MpiSession session(argument_count, arguments);
  cola::set_log_identity(session.world().rank(), session.world().size(), session.host());
  if (argument_count > 1 && std::strcmp(arguments[1], "unwind") == 0) {
    work(session.world());
    return 0;
  }
  try {
    work(session.world());
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
