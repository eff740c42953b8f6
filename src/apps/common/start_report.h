// What a job looks like from its first rank, and what will work badly in it.
#pragma once

#include <string>

#include "dist/mpi_session.h"
#include "dist/placement/node_layout.h"

namespace cola {

/// Says on rank 0 who started the program, where all ranks run and on what; warns of what is wrong with that,
/// with its cure. Collective.
void report_layout(const std::string& program, MpiSession& session, const RankPlace& mine);

}  // namespace cola
