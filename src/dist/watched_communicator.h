// A communicator whose collectives a watchdog looks at, and adds up the time of.
#pragma once

#include <memory>

#include "dist/communicator.h"
#include "dist/watchdog.h"

namespace cola {

/// Hands every call to `inner`. `watchdog` outlives the communicator, its parts and its collectives.
std::unique_ptr<Communicator> make_watched_communicator(std::unique_ptr<Communicator> inner,
                                                        Watchdog& watchdog);

}  // namespace cola
