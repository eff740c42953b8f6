// The MPI ranks that a test program of this folder runs on; its main function starts them.
#pragma once

#include "dist/mpi_session.h"

namespace cola::testing {

MpiSession& session();

}  // namespace cola::testing
